"""A run with every status, for the tests of formats."""

from __future__ import annotations

from tasks.core.result import Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tests.support.verbs import VERBS

ITEMS = tuple(
    Item(
        Kind.SYSCTL, f"net.x.{status}", status, "1", None if status is ItemStatus.MISSING else "<0> & \"'", "why", "do"
    )
    for status in ItemStatus
)
RUN = RunSummary(
    VERBS["verify"],
    (
        NodeResult("n1", Status.DRIFT, ITEMS, notes=("a note",), seconds=1.5),
        NodeResult("n2", Status.UNREACHABLE, problem="no answer", next_step="look", seconds=10.0),
        NodeResult("n3", Status.SKIPPED, problem="the same node as n1"),
        NodeResult("n4", Status.OK, (Item(Kind.MODULE, "overlay", ItemStatus.OK, "loaded", "loaded"),)),
    ),
    12.3456,
)
