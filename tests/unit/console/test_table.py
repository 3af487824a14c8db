"""The rows of the summary."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.console.table import table_rows
from tasks.core.plan.diff import Plan
from tasks.core.plan.readback import read_back
from tasks.core.result import Change, Item, ItemStatus, Kind, NodeResult, Status
from tasks.core.run.report import group_results
from tasks.core.undo.snapshot import PriorState
from tasks.core.undo.stale import Stale, stale_items, with_removals
from tests.support.builders import facts
from tests.support.verbs import VERBS

OK = Item(Kind.SYSCTL, "vm.x", ItemStatus.OK, "1", "1")
DRIFT = OK._replace(status=ItemStatus.DRIFT, got="0")


def result(host: str, status: Status = Status.OK, *items: Item, seconds: float = 1.0) -> NodeResult:
    return NodeResult(host, status, items, seconds=seconds)


@pytest.mark.parametrize(
    ("verb", "cells"),
    [
        ("plan", ("n1+n2", "drift", "1 to load", "2 to set, 1 ok", "", "3.2 s")),
        ("apply", ("n1+n2", "drift", "1 differ", "2 differ, 1 ok", "", "3.2 s")),
        ("verify", ("n1+n2", "drift", "1 differ", "2 differ, 1 ok", "", "", "3.2 s")),
    ],
)
def test_a_row_of_the_table_counts_each_kind_worst_first(verb: str, cells: tuple[str, ...]) -> None:
    items = (OK, DRIFT, DRIFT, DRIFT._replace(kind=Kind.MODULE), OK._replace(status=ItemStatus.SKIPPED))
    both = [result(name, Status.DRIFT, *items, seconds=3.21) for name in ("n1", "n2")]
    assert table_rows(group_results(both), "+".join, VERBS[verb]) == [cells]


@pytest.mark.parametrize(
    ("verb", "status", "cells"),
    [
        ("plan", ItemStatus.DRIFT, ("1 to load, 1 to take back", "1 to set, 1 to take back", "1 to take back")),
        ("apply", ItemStatus.CHANGED, ("1 loaded, 1 taken back", "1 set, 1 taken back", "1 taken back")),
    ],
)
def test_what_no_profile_wants_any_more_is_not_counted_as_to_be_made(
    verb: str, status: ItemStatus, cells: tuple[str, ...]
) -> None:
    gone: dict[str, Any] = {"status": status, "change": Change.TAKE_BACK}
    items = (
        DRIFT._replace(kind=Kind.MODULE, status=status),
        DRIFT._replace(kind=Kind.MODULE, **gone),
        DRIFT._replace(status=status),
        DRIFT._replace(**gone),
        DRIFT._replace(kind=Kind.FILE, **gone),
    )
    assert table_rows(group_results([result("n1", Status.CHANGED, *items)]), "+".join, VERBS[verb])[0][2:5] == cells


def test_what_goes_back_to_a_value_is_counted_alike_before_and_after() -> None:
    path = "/etc/sysctl.d/99-zz-nodeprep-old.conf"
    gone, past = Stale(keys={"vm.x": path, "vm.y": path}), PriorState(keys={"vm.x": "0", "vm.y": "0"})
    first, last = (with_removals(Plan(()), gone, past, facts({"vm.x": got, "vm.y": got})) for got in ("1", "0"))
    for items, verb, cell in (
        (stale_items(gone, to_do=True), "plan", "2 to take back"),
        (read_back([first, last], {}), "apply", "2 taken back"),
    ):
        rows = table_rows(group_results([result("n1", Status.CHANGED, *items)]), "+".join, VERBS[verb])
        assert rows[0][3] == cell
