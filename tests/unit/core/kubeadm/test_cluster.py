"""What only all nodes together tell: who shares a name or an identity, and whose clock is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.kubeadm.cluster import NOT_COMPARED, TOLERANCE, check_cluster
from tasks.core.result import Identity, Item, ItemStatus, Kind, NodeResult, Status

HOSTNAME = Item(Kind.CHECK, "Hostname", ItemStatus.OK, "unique", "n")
KEY = Item(Kind.SYSCTL, "vm.x", ItemStatus.OK, "1", "1")


def result(name: str, *, status: Status = Status.OK, **changes: Any) -> NodeResult:
    own = Identity(name, f"{name}-id", f"{name}-uuid", unreadable=False, clock=(100.0, 101.0))
    identity = replace(own, **changes)
    return NodeResult(name, status, (KEY, HOSTNAME._replace(got=identity.hostname)), identity=identity)


def compared(results: Iterable[NodeResult]) -> tuple[NodeResult, ...]:
    """What becomes of a run's results."""
    found = list(results)
    check_cluster(found)
    return tuple(found)


def told(*results: NodeResult) -> dict[str, dict[str, Item]]:
    """Each node's checks by name."""
    return {each.host: {i.name: i for i in each.items if i.kind is Kind.CHECK} for each in compared(results)}


def wrong(*results: NodeResult) -> dict[str, list[str]]:
    """By node, the checks that are drift."""
    return {
        host: [name for name, item in items.items() if item.status is ItemStatus.DRIFT]
        for host, items in told(*results).items()
    }


def test_nodes_that_share_nothing_are_right() -> None:
    both = compared([result("n1"), result("n2")])
    assert [each.status for each in both] == [Status.OK, Status.OK]
    assert told(*both)["n1"].keys() == {"Hostname", "MachineID", "ProductUUID", "ClockSkew"}
    assert wrong(result("n1"), result("n2")) == {"n1": [], "n2": []}


def test_nodes_that_are_right_share_the_items_that_say_so() -> None:
    one, other = compared([result("n1"), result("n2")])
    assert [id(item) for item in one.items[-3:]] == [id(item) for item in other.items[-3:]]


def test_one_node_alone_is_compared_with_nobody() -> None:
    down = NodeResult("n2", Status.UNREACHABLE, problem="no route")
    assert compared([result("n1"), down]) == (result("n1"), down)


@pytest.mark.parametrize(
    ("field", "check"), [("hostname", "Hostname"), ("machine_id", "MachineID"), ("product_uuid", "ProductUUID")]
)
def test_what_two_nodes_share_is_drift_on_both_and_names_both(field: str, check: str) -> None:
    same: dict[str, Any] = {field: "same"}
    found = compared([result("n1", **same), result("n2"), result("n3", **same)])
    assert [each.status for each in found] == [Status.DRIFT, Status.OK, Status.DRIFT]
    items = told(result("n1", **same), result("n2"), result("n3", **same))
    assert wrong(*found) == {"n1": [check], "n2": [], "n3": [check]}
    assert str(items["n1"][check].got).endswith("shared by n[1,3]")
    assert items["n3"][check] == items["n1"][check]
    assert items["n1"][check].next_step


def test_thousands_of_clones_are_told_with_one_text() -> None:
    clones = compared([result(f"n{number}", machine_id="same", hostname="same") for number in range(3000)])
    texts = {item.name: item.got for item in clones[0].items if item.status is ItemStatus.DRIFT}
    assert texts == {"Hostname": "same, shared by n[0-2999]", "MachineID": "shared by n[0-2999]"}
    shared = {id(item) for each in clones for item in each.items if item.name in texts}
    assert len(shared) == len(texts)


def test_what_a_node_does_not_have_it_shares_with_nobody() -> None:
    bare: dict[str, Any] = {"machine_id": "", "product_uuid": "", "clock": None}
    items = told(result("n1", **bare), result("n2", **bare), result("n3"))
    assert {str(items["n1"][name].status) for name in ("MachineID", "ProductUUID", "ClockSkew")} == {"skipped"}
    assert {str(item.status) for item in items["n3"].values()} == {"ok"}


def test_a_product_uuid_that_only_root_may_read_is_a_note_and_no_alarm() -> None:
    shut: dict[str, Any] = {"product_uuid": "", "unreadable": True}
    found = compared([result("n1", **shut), result("n2", **shut)])
    assert [(each.status, each.notes) for each in found] == [(Status.OK, (NOT_COMPARED,))] * 2
    quiet = compared([result("n1", **shut, ignored=frozenset({"productuuid"})), result("n2")])
    assert [each.notes for each in quiet] == [(), ()]


def test_what_is_to_be_ignored_between_nodes_is_skipped() -> None:
    same: dict[str, Any] = {"machine_id": "same", "ignored": frozenset({"machineid"})}
    found = compared([result("n1", **same), result("n2", **same)])
    assert [each.status for each in found] == [Status.OK, Status.OK]
    assert told(*found)["n1"]["MachineID"].status is ItemStatus.SKIPPED


def test_a_node_that_failed_otherwise_stays_failed() -> None:
    found = compared([result("n1", status=Status.FAILED, machine_id="x"), result("n2", machine_id="x")])
    assert [each.status for each in found] == [Status.FAILED, Status.DRIFT]


def test_items_of_other_kinds_are_left_as_they_are() -> None:
    assert compared([result("n1"), result("n2")])[0].items[0] == KEY


# Clocks


def clocks(*intervals: tuple[float, float]) -> list[str]:
    """The nodes whose clock is called wrong, in order."""
    found = wrong(*(result(f"n{number}", clock=interval) for number, interval in enumerate(intervals)))
    return [name for name, checks in found.items() if checks == ["ClockSkew"]]


def test_of_three_clocks_the_wrong_one_is_named_and_of_two_both() -> None:
    assert clocks((100, 101), (100.2, 101.4), (160, 161)) == ["n2"]
    assert clocks((100, 101), (160, 161)) == ["n0", "n1"]
    assert clocks((100, 101), (160, 161), (220, 221)) == ["n0", "n2"]


def test_how_far_it_is_off_at_least_and_which_way_is_said() -> None:
    items = told(*(result(f"n{n}", clock=(at, at + 1)) for n, at in enumerate((100, 100.5, 130, 100.2, 40))))
    assert items["n2"]["ClockSkew"].got == "at least 28 s ahead of most others"
    assert items["n4"]["ClockSkew"].got == "at least 59 s behind most others"
    assert items["n0"]["ClockSkew"].status is ItemStatus.OK


def test_a_slow_answer_is_no_skew() -> None:
    assert clocks((100, 101), (70, 102), (99, 140)) == []


def test_a_difference_within_the_tolerance_is_none() -> None:
    assert clocks((100, 101), (101 + TOLERANCE, 120)) == []
    assert clocks((100, 101), (101.1 + TOLERANCE, 120)) == ["n0", "n1"]


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 30)), min_size=2, max_size=30))
def test_only_clocks_that_cannot_be_within_the_tolerance_of_most_others_are_named(
    drawn: list[tuple[float, float]],
) -> None:
    intervals = [(low, low + width) for low, width in drawn]
    named = set(clocks(*intervals))
    for number, (low, high) in enumerate(intervals):
        others = intervals[:number] + intervals[number + 1 :]
        behind = sum(other[1] < low - TOLERANCE for other in others)
        ahead = sum(other[0] > high + TOLERANCE for other in others)
        assert (f"n{number}" in named) is (max(behind, ahead) * 2 > len(others))
