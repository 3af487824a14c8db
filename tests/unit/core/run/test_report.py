"""A run's results: folded, counted, sorted, and what the exit code says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.console.json_report import format_json
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tasks.core.run.report import WORST_FIRST, exit_code, group_results, problems, retry_can_help, status_counts, tally
from tests.support.verbs import VERBS

OK = Item(Kind.SYSCTL, "vm.x", ItemStatus.OK, "1", "1")
DRIFT = OK._replace(status=ItemStatus.DRIFT, got="0")
CHANGED = OK._replace(status=ItemStatus.CHANGED, why="was 0")


def result(host: str, status: Status = Status.OK, *items: Item, seconds: float = 1.0) -> NodeResult:
    return NodeResult(host, status, items, seconds=seconds)


def summary(*results: NodeResult, verb: str = "verify", interrupted: bool = False) -> RunSummary:
    return RunSummary(VERBS[verb], results, 2.0, interrupted)


@pytest.mark.parametrize(
    ("statuses", "verb", "code"),
    [
        ([], "verify", 0),
        ([Status.OK, Status.CHANGED], "apply", 0),
        ([Status.OK, Status.SKIPPED], "apply", 0),
        ([Status.OK, Status.DRIFT], "verify", 3),
        ([Status.OK, Status.DRIFT], "plan", 0),
        ([Status.DRIFT, Status.FAILED], "verify", 4),
        ([Status.DRIFT, Status.UNREACHABLE], "plan", 4),
        ([Status.FAILED], "apply", 4),
    ],
)
def test_the_exit_code_says_the_worst(statuses: list[Status], verb: str, code: int) -> None:
    run = summary(*(result(f"n{number}", status) for number, status in enumerate(statuses)), verb=verb)
    assert exit_code(run) == code
    assert exit_code(replace(run, interrupted=True)) == 130


def test_equal_results_are_folded_and_the_worst_come_first() -> None:
    groups = group_results(
        [
            result("n1", Status.OK, OK),
            result("n2", Status.DRIFT, DRIFT),
            result("n3", Status.OK, OK._replace(got="0x1"), seconds=7.0),
            result("n4", Status.UNREACHABLE),
            result("n5", Status.DRIFT, DRIFT),
            result("n6", Status.DRIFT, DRIFT._replace(got="2")),
        ]
    )
    assert [(group.hosts, str(group.result.status), group.seconds) for group in groups] == [
        (("n4",), "unreachable", 1.0),
        (("n2", "n5"), "drift", 1.0),
        (("n6",), "drift", 1.0),
        (("n1", "n3"), "ok", 7.0),
    ]


def test_what_it_was_before_it_changed_does_not_part_nodes() -> None:
    both = [result("n1", Status.CHANGED, CHANGED), result("n2", Status.CHANGED, CHANGED._replace(why="was 7"))]
    assert len(group_results(both)) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(result("n2"), status=Status.CHANGED),
        replace(result("n2"), problem="x"),
        replace(result("n2"), next_step="x"),
        replace(result("n2"), items=(OK,)),
        replace(result("n2"), items=(DRIFT,)),
    ],
)
def test_results_that_differ_are_not_folded(other: NodeResult) -> None:
    assert len(group_results([result("n1"), other])) == 2


RESULTS = st.lists(
    st.builds(
        NodeResult,
        st.uuids().map(str),
        st.sampled_from(Status),
        st.lists(st.sampled_from([OK, DRIFT, CHANGED]), max_size=3).map(tuple),
        seconds=st.floats(0, 9),
    ),
    max_size=12,
)


@given(RESULTS)
def test_folding_loses_no_host_and_keeps_the_worst_first(results: list[NodeResult]) -> None:
    groups = group_results(results)
    assert sorted(host for group in groups for host in group.hosts) == sorted(found.host for found in results)
    order = [WORST_FIRST.index(group.result.status) for group in groups]
    assert order == sorted(order)


@given(RESULTS)
def test_counts_add_up_and_the_data_is_json(results: list[NodeResult]) -> None:
    run = summary(*results)
    assert sum(status_counts(results).values()) == len(results)
    data = json.loads("".join(format_json(run)))
    assert [node["host"] for node in data["nodes"]] == [found.host for found in results]
    assert sum(data["counts"].values()) == len(results)


def test_items_are_counted_by_kind_and_status() -> None:
    module = DRIFT._replace(kind=Kind.MODULE)
    assert tally([OK, OK, DRIFT, module]) == {
        (Kind.SYSCTL, ItemStatus.OK): 2,
        (Kind.SYSCTL, ItemStatus.DRIFT): 1,
        (Kind.MODULE, ItemStatus.DRIFT): 1,
    }


def test_wrong_is_what_is_neither_right_nor_changed_nor_skipped() -> None:
    items = [OK._replace(status=status) for status in ItemStatus]
    assert [item.status for item in problems(result("n1", Status.OK, *items))] == [
        ItemStatus.DRIFT,
        ItemStatus.BOOT_DRIFT,
        ItemStatus.MISSING,
        ItemStatus.KEPT_BY_KERNEL,
        ItemStatus.HOST_MANAGED,
    ]


@pytest.mark.parametrize(
    ("left", "helps"),
    [
        (result("n1", Status.OK, OK), False),
        (result("n1", Status.DRIFT, DRIFT), False),
        (NodeResult("n1", Status.UNREACHABLE, problem="no route"), True),
        (NodeResult("n1", Status.FAILED, problem="locked by anna"), True),
        (NodeResult("n1", Status.SKIPPED, problem="interrupted before it started"), True),
        (NodeResult("n1", Status.SKIPPED, problem="the same node as n2", same_as="n2"), False),
        (result("n1", Status.FAILED, DRIFT), True),
        (result("n1", Status.FAILED, DRIFT, DRIFT._replace(status=ItemStatus.MISSING)), False),
        *(
            (result("n1", Status.FAILED, DRIFT._replace(status=status)), False)
            for status in (ItemStatus.MISSING, ItemStatus.KEPT_BY_KERNEL, ItemStatus.HOST_MANAGED)
        ),
    ],
)
def test_the_same_command_helps_where_the_cause_may_have_gone(left: NodeResult, helps: bool) -> None:
    assert retry_can_help(left) is helps
