"""The status of a node, from its items."""

from __future__ import annotations

import pickle

import pytest

from tasks.core.result import Change, Item, ItemStatus, Kind, NodeResult, SnapshotSummary, Status, worst_status

ITEM = Item(Kind.SYSCTL, "vm.x", ItemStatus.OK, "1", "1")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], Status.OK),
        ([ItemStatus.OK, ItemStatus.SKIPPED, ItemStatus.ADVISORY], Status.OK),
        ([ItemStatus.OK, ItemStatus.CHANGED], Status.CHANGED),
        *(
            ([ItemStatus.CHANGED, status], Status.FAILED)
            for status in ItemStatus
            if status not in {ItemStatus.OK, ItemStatus.CHANGED, ItemStatus.SKIPPED, ItemStatus.ADVISORY}
        ),
    ],
)
def test_a_node_is_as_bad_as_its_worst_item(statuses: list[ItemStatus], expected: Status) -> None:
    items = [ITEM._replace(status=status) for status in statuses]
    assert worst_status(items, Status.FAILED) is expected


@pytest.mark.parametrize(("got", "found"), [(None, "absent"), ("", "empty"), ("0", "0")])
def test_what_is_absent_or_empty_has_a_word(got: str | None, found: str) -> None:
    assert ITEM._replace(got=got).found == found


def test_a_result_travels_between_processes() -> None:
    result = NodeResult(
        "n1",
        Status.OK,
        (ITEM._replace(change=Change.TAKE_BACK),),
        files=(("/etc/a", "b\n"),),
        snapshots=(SnapshotSummary("20261125-021502-a3f1", "apply by anna", "1 key"),),
    )
    assert pickle.loads(pickle.dumps(result)) == result
