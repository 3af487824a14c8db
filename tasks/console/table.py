"""The rows of the summary: what was done or is to be done on each group of nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tasks.core.result import Item, ItemStatus, Kind
from tasks.core.run.report import Group, is_plan
from tasks.core.undo.rollback import NOT_LOADED
from tasks.core.undo.stale import AS_BEFORE


def counted_kinds(verb: str) -> tuple[Kind, ...]:
    """The kinds of items that a verb's summary counts."""
    return (Kind.MODULE, Kind.SYSCTL, Kind.FILE, *((Kind.CHECK,) if verb == "verify" else ()))


def table_rows(groups: Sequence[Group], names: Callable[[Iterable[str]], str], verb: str) -> list[tuple[str, ...]]:
    """The summary's rows: nodes, status, modules, keys, files, for verify checks, and the slowest time."""
    return [
        (
            names(group.hosts),
            str(group.result.status),
            *(_counts(group.result.items, kind, verb) for kind in counted_kinds(verb)),
            f"{group.seconds:.1f} s",
        )
        for group in groups
    ]


_ORDER = {status: number for number, status in enumerate(ItemStatus)}
_BACK = frozenset({AS_BEFORE, NOT_LOADED, "absent"})  # what is expected where something of ours goes
_DONE = {Kind.MODULE: "loaded", Kind.SYSCTL: "set", Kind.FILE: "written", Kind.CHECK: "changed"}
_TO_DO = {Kind.MODULE: "to load", Kind.SYSCTL: "to set", Kind.FILE: "to write", Kind.CHECK: "refused"}


def _counts(items: Iterable[Item], kind: Kind, verb: str) -> str:
    """`25 set, 8 ok`: the statuses of one kind, the worst first."""
    told = [item for item in items if item.kind is kind and item.status is not ItemStatus.SKIPPED]
    words = Counter(_label(item, verb) for item in sorted(told, key=lambda item: -_ORDER[item.status]))
    return ", ".join(f"{count} {word}" for word, count in words.items())


def _label(item: Item, verb: str) -> str:
    """What a row says of an item: what was done with it, what is to be done, or its status."""
    back = verb.startswith("rollback") or item.expected in _BACK
    if item.status is ItemStatus.CHANGED:
        return "taken back" if back else _DONE[item.kind]
    if item.status is ItemStatus.DRIFT and item.kind is Kind.CHECK:
        return _TO_DO[item.kind]
    if item.status is ItemStatus.DRIFT:
        return ("to take back" if back else _TO_DO[item.kind]) if is_plan(verb) else "differ"
    return str(item.status)
