"""The results of a run: a node's status, and the status of each module, key, file and check on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tasks.core.verb import Verb


class Status(StrEnum):
    """The outcome for a node, the worst last."""

    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    DRIFT = "drift"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


class ItemStatus(StrEnum):
    """The state of one module, key, file or check on a node. Advisory is worth knowing, and not an error."""

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
    """The kind of an item."""

    FILE = "file"
    MODULE = "module"
    SYSCTL = "sysctl"
    CHECK = "check"


class Change(StrEnum):
    """The change that an item with a difference needs, or has had: made as wanted, or as it was before nodeprep."""

    SET = "set"
    TAKE_BACK = "take back"


class Item(NamedTuple):
    """One module, key, file or check of one node: the wanted state, the state found, and the next step.

    expected and got are texts as a person would write them; got None means absent. why and next_step are empty
    where there is nothing to explain. decided_by: what has the last word at the next boot, `PATH:LINE`; empty if
    nothing has, or if it is not known. change is in no report.
    """

    kind: Kind
    name: str
    status: ItemStatus
    expected: str
    got: str | None
    why: str = ""
    next_step: str = ""
    decided_by: str = ""
    change: Change = Change.SET

    @property
    def found(self) -> str:
        """Return the state found, in words: also for an item that is absent or empty."""
        return "absent" if self.got is None else self.got or "empty"


@dataclass(frozen=True, slots=True)
class Identity:
    """The properties that the nodes of a cluster must not share, or have to agree on. Empty texts: the node has none.

    unreadable: only root may read the product_uuid. clock: the node's seconds since 1970 less our monotonic ones, which
    lie between these two. ignored: names of checks (kubeadm/names.py).
    """

    hostname: str
    machine_id: str
    product_uuid: str
    unreadable: bool
    clock: tuple[float, float] | None
    ignored: frozenset[str] = frozenset()


class SnapshotSummary(NamedTuple):
    """A snapshot of a node as a list shows it. what: `apply by anna@laptop (admin)`; of: `2 files, 31 keys`."""

    run: str
    what: str
    of: str


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One host's outcome. problem and next_step are set when the node failed as a whole; seconds is wall time.

    same_as: the host of this run that is the same node and was worked on in its place; empty if there is none.
    In no report: identity, for the checks between nodes (kubeadm/cluster.py); files, pairs of a path and the text that
    render found for it; snapshots, the newest first, for `rollback --list`.
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
    files: tuple[tuple[str, str], ...] = ()
    snapshots: tuple[SnapshotSummary, ...] = ()


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A whole run: the verb, one result for each selected host in the order of selection, and its wall time."""

    verb: Verb
    results: tuple[NodeResult, ...]
    seconds: float
    interrupted: bool = False


FINE = {ItemStatus.OK, ItemStatus.CHANGED, ItemStatus.SKIPPED, ItemStatus.ADVISORY}


def worst_status(items: Iterable[Item], bad: Status) -> Status:
    """Return a node's status from its items: bad if any is wrong, changed if any changed, else ok."""
    statuses = {item.status for item in items}
    if statuses - FINE:
        return bad
    return Status.CHANGED if ItemStatus.CHANGED in statuses else Status.OK
