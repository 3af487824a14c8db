"""A run's results as a person needs them: worst first, equal ones folded, and what the exit code is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import NamedTuple

from tasks.core.model import Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tasks.core.plan import GOOD
from tasks.core.rollback import NOT_LOADED
from tasks.core.stale import AS_BEFORE

WORST_FIRST = tuple(reversed(Status))
FAILURES = frozenset({Status.FAILED, Status.UNREACHABLE})
EXIT_OK, EXIT_USAGE, EXIT_DRIFT, EXIT_FAILED, EXIT_INTERRUPTED = 0, 2, 3, 4, 130


class Group(NamedTuple):
    """Hosts whose results are the same but for time and, of items that are right, details. seconds: the slowest."""

    hosts: tuple[str, ...]
    result: NodeResult
    seconds: float


def fold(results: Iterable[NodeResult]) -> list[Group]:
    """Results folded and sorted, the worst and of these the largest group first; what is wrong has to be equal in every
    detail."""
    found: dict[object, list[NodeResult]] = {}
    for result in results:
        found.setdefault(_likeness(result), []).append(result)
    groups = [Group(tuple(r.host for r in same), same[0], max(r.seconds for r in same)) for same in found.values()]
    return sorted(groups, key=lambda group: (WORST_FIRST.index(group.result.status), -len(group.hosts)))


def _likeness(result: NodeResult) -> object:
    counts = tuple(sorted(tally(result.items).items()))
    return result.status, result.problem, result.next_step, (*wrong(result), *advice(result)), counts


def tally(items: Iterable[Item]) -> Mapping[tuple[Kind, ItemStatus], int]:
    """How many items of each kind have each status."""
    counts: dict[tuple[Kind, ItemStatus], int] = {}
    for item in items:
        counts[item.kind, item.status] = counts.get((item.kind, item.status), 0) + 1
    return counts


def wrong(result: NodeResult) -> list[Item]:
    """The items of a result that are not as they should be; the checks first: they are few, and no verb mends them."""
    items = [item for item in result.items if item.status not in GOOD]
    return sorted(items, key=lambda item: item.kind is not Kind.CHECK)


def advice(result: NodeResult) -> list[Item]:
    """The items that are worth knowing, and wrong for nobody."""
    return [item for item in result.items if item.status is ItemStatus.ADVISORY]


def status_counts(results: Iterable[NodeResult]) -> dict[Status, int]:
    """How many nodes have each status, worst first, without zeros."""
    statuses = [result.status for result in results]
    return {status: statuses.count(status) for status in WORST_FIRST if status in statuses}


def unfinished(status: Status, same_as: str) -> bool:
    """Whether a node has to be done again: it failed, was unreachable, or the run ended before it was done."""
    return status in FAILURES or (status is Status.SKIPPED and not same_as)


def is_plan(verb: str) -> bool:
    """Whether a verb writes nothing, and differences are what it is asked for: plan, and rollback --plan."""
    return verb.endswith("plan")


def exit_code(summary: RunSummary) -> int:
    """0 all ok or changed; 3 drift; 4 something failed or was unreachable; 130 interrupted. plan is no gate: drift is
    what it is asked for."""
    counts = status_counts(summary.results)
    if summary.interrupted:
        return EXIT_INTERRUPTED
    if FAILURES & set(counts):
        return EXIT_FAILED
    return EXIT_DRIFT if Status.DRIFT in counts and not is_plan(summary.verb) else EXIT_OK


def about(summary: RunSummary) -> dict[str, object]:
    """The run as plain data for JSON, without its nodes."""
    return {
        "verb": summary.verb,
        "exit_code": exit_code(summary),
        "interrupted": summary.interrupted,
        "seconds": round(summary.seconds, 3),
        "counts": {str(status): count for status, count in status_counts(summary.results).items()},
    }


def node(result: NodeResult) -> dict[str, object]:
    """One node as plain data for JSON, with every item."""
    names = [field.name for field in fields(result) if field.name != "identity"]
    data = {name: getattr(result, name) for name in names}
    return {**data, "seconds": round(result.seconds, 3), "items": [_item(item) for item in result.items]}


@lru_cache(maxsize=4096)  # thousands of nodes share their items
def _item(item: Item) -> Mapping[str, object]:
    return item._asdict()


def columns(verb: str) -> tuple[Kind, ...]:
    """The kinds of items that a verb's summary counts."""
    return (Kind.MODULE, Kind.SYSCTL, Kind.FILE, *((Kind.CHECK,) if verb == "verify" else ()))


def table(groups: Sequence[Group], names: Callable[[Iterable[str]], str], verb: str) -> list[tuple[str, ...]]:
    """The summary's rows: nodes, status, modules, keys, files, for verify checks, and the slowest time."""
    return [
        (
            names(group.hosts),
            str(group.result.status),
            *(_counts(group.result.items, kind, verb) for kind in columns(verb)),
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
    words = Counter(_word(item, verb) for item in sorted(told, key=lambda item: -_ORDER[item.status]))
    return ", ".join(f"{count} {word}" for word, count in words.items())


def _word(item: Item, verb: str) -> str:
    """What a row says of an item: what was done with it, what is to be done, or its status."""
    back = verb.startswith("rollback") or item.expected in _BACK
    if item.status is ItemStatus.CHANGED:
        return "taken back" if back else _DONE[item.kind]
    if item.status is ItemStatus.DRIFT and item.kind is Kind.CHECK:
        return _TO_DO[item.kind]
    if item.status is ItemStatus.DRIFT:
        return ("to take back" if back else _TO_DO[item.kind]) if is_plan(verb) else "differ"
    return str(item.status)
