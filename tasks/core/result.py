"""The records that travel between modules: who the hosts are, and what was found and done on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """What became of a node, the worst last."""

    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    DRIFT = "drift"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


class ItemStatus(StrEnum):
    """What is true of one module, key, file or check on a node. Advisory is worth knowing, and wrong for nobody."""

    OK = "ok"
    CHANGED = "changed"
    ADVISORY = "advisory"
    DRIFT = "drift"
    BOOT_DRIFT = "boot-drift"
    MISSING = "missing"
    KEPT_BY_KERNEL = "kept-by-kernel"
    HOST_MANAGED = "host-managed"
    SKIPPED = "skipped"


class Kind(StrEnum):
    """What an item is."""

    FILE = "file"
    MODULE = "module"
    SYSCTL = "sysctl"
    CHECK = "check"


class Item(NamedTuple):
    """One module, key, file or check of one node: what was wanted, what was found, and what to do about it.

    expected and got are texts as a person would write them; got None means absent. why and next_step are empty
    where there is nothing to explain. decided_by: what has the last word at the next boot, `PATH:LINE`; empty if
    nothing has, or if it is not known.
    """

    kind: Kind
    name: str
    status: ItemStatus
    expected: str
    got: str | None
    why: str = ""
    next_step: str = ""
    decided_by: str = ""

    @property
    def found(self) -> str:
        """What was found, in words: also what is not there, or holds nothing."""
        return "absent" if self.got is None else self.got or "empty"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the nodes of a cluster must not share, and what they have to agree on. Empty texts: the node has none.

    hidden: only root may read the product_uuid. clock: the node's seconds since 1970 less our monotonic ones, which
    lie between these two. ignored: names of checks, see preflight.
    """

    hostname: str
    machine_id: str
    product_uuid: str
    unreadable: bool
    clock: tuple[float, float] | None
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One host's outcome. problem and next_step are set when the node failed as a whole; seconds is wall time.

    same_as: the host of this run that is the same node and was worked on in its place; empty if there is none.
    identity is for the checks between nodes (core/between.py), and in no report.
    """

    host: str
    status: Status
    items: Sequence[Item] = ()
    problem: str = ""
    next_step: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    same_as: str = ""
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A whole run: the verb, one result for each selected host in the order of selection, and its wall time."""

    verb: str
    results: tuple[NodeResult, ...]
    seconds: float
    interrupted: bool = False


FINE = {ItemStatus.OK, ItemStatus.CHANGED, ItemStatus.SKIPPED, ItemStatus.ADVISORY}


def worst_status(items: Iterable[Item], bad: Status) -> Status:
    """A node's status from its items: bad if any is wrong, changed if any changed, else ok."""
    statuses = {item.status for item in items}
    if statuses - FINE:
        return bad
    return Status.CHANGED if ItemStatus.CHANGED in statuses else Status.OK
