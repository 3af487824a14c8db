"""The rows of the summary: counts of what was done, or is to be done, on each group of nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tasks.core.result import Change, Item, ItemStatus, Kind
from tasks.core.run.report import Group
from tasks.core.verb import Verb


def counted_kinds(verb: Verb) -> tuple[Kind, ...]:
    """Return the kinds of items that a verb's summary counts."""
    return (Kind.MODULE, Kind.SYSCTL, Kind.FILE, *((Kind.CHECK,) if verb.counts_checks else ()))


def table_rows(groups: Sequence[Group], names: Callable[[Iterable[str]], str], verb: Verb) -> list[tuple[str, ...]]:
    """Return the summary's rows: nodes, status, modules, keys, files, for verify checks, and the slowest time."""
    return [
        (
            names(group.hosts),
            str(group.result.status),
            *(_format_counts(group.result.items, kind, verb) for kind in counted_kinds(verb)),
            f"{group.seconds:.1f} s",
        )
        for group in groups
    ]


_ORDER = {status: number for number, status in enumerate(ItemStatus)}
_DONE = {Kind.MODULE: "loaded", Kind.SYSCTL: "set", Kind.FILE: "written", Kind.CHECK: "changed"}
_TO_DO = {Kind.MODULE: "to load", Kind.SYSCTL: "to set", Kind.FILE: "to write", Kind.CHECK: "refused"}


def _format_counts(items: Iterable[Item], kind: Kind, verb: Verb) -> str:
    """Count the items of one kind by their labels, the worst first: `25 set, 8 ok`."""
    counted = [item for item in items if item.kind is kind and item.status is not ItemStatus.SKIPPED]
    labels = Counter(_label(item, verb) for item in sorted(counted, key=lambda item: -_ORDER[item.status]))
    return ", ".join(f"{count} {label}" for label, count in labels.items())


def _label(item: Item, verb: Verb) -> str:
    """Return the word for an item: the change that was made or is to be made, else its status."""
    is_undone = item.change is Change.TAKE_BACK
    if item.status is ItemStatus.CHANGED:
        return "taken back" if is_undone else _DONE[item.kind]
    if item.status is ItemStatus.DRIFT and item.kind is Kind.CHECK:
        return _TO_DO[item.kind]
    if item.status is ItemStatus.DRIFT:
        return ("to take back" if is_undone else _TO_DO[item.kind]) if verb.is_preview else "differ"
    return str(item.status)
