"""A run's results for people: worst first, equal ones in groups; and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tasks.core.result import FINE, Item, ItemStatus, Kind, NodeResult, RunSummary, Status

WORST_FIRST = tuple(reversed(Status))
FAILURES = frozenset({Status.FAILED, Status.UNREACHABLE})
EXIT_OK, EXIT_USAGE, EXIT_DRIFT, EXIT_FAILED, EXIT_INTERRUPTED = 0, 2, 3, 4, 130


class Group(NamedTuple):
    """Hosts with equal results, but for the time and, of items that are right, the details. seconds: the slowest."""

    hosts: tuple[str, ...]
    result: NodeResult
    seconds: float


def group_results(results: Iterable[NodeResult]) -> list[Group]:
    """Group equal results and sort them, the worst and of these the largest group first. Problems must be equal in
    every detail."""
    found: dict[object, list[NodeResult]] = {}
    for result in results:
        found.setdefault(_group_key(result), []).append(result)
    groups = [Group(tuple(r.host for r in same), same[0], max(r.seconds for r in same)) for same in found.values()]
    return sorted(groups, key=lambda group: (WORST_FIRST.index(group.result.status), -len(group.hosts)))


def _group_key(result: NodeResult) -> object:
    counts = tuple(sorted(tally(result.items).items()))
    return result.status, result.problem, result.next_step, (*problems(result), *advisories(result)), counts


def tally(items: Iterable[Item]) -> Mapping[tuple[Kind, ItemStatus], int]:
    """Count the items of each kind and status."""
    counts: dict[tuple[Kind, ItemStatus], int] = {}
    for item in items:
        counts[item.kind, item.status] = counts.get((item.kind, item.status), 0) + 1
    return counts


def problems(result: NodeResult) -> list[Item]:
    """Return the items that are not as they should be; the checks first: they are few, and no verb mends them."""
    items = [item for item in result.items if item.status not in FINE]
    return sorted(items, key=lambda item: item.kind is not Kind.CHECK)


def advisories(result: NodeResult) -> list[Item]:
    """Return the items that are worth knowing, and not an error."""
    return [item for item in result.items if item.status is ItemStatus.ADVISORY]


def status_counts(results: Iterable[NodeResult]) -> dict[Status, int]:
    """Count the nodes of each status, worst first, without zeros."""
    statuses = [result.status for result in results]
    return {status: statuses.count(status) for status in WORST_FIRST if status in statuses}


def would_fail(result: NodeResult) -> bool:
    """Return whether apply would fail on a node that a plan shows: it does not mend one of the problems.

    A file with boot-drift is one that the login user may not read (plan/diff.py): apply reads it as root.
    """
    unread = (ItemStatus.BOOT_DRIFT, Kind.FILE)
    return any(item.status is not ItemStatus.DRIFT and (item.status, item.kind) != unread for item in problems(result))


def is_unfinished(status: Status, same_as: str) -> bool:
    """Return whether a node has to be done again: it failed, was unreachable, or the run ended before it was done."""
    return status in FAILURES or (status is Status.SKIPPED and not same_as)


def retry_can_help(result: NodeResult) -> bool:
    """Return whether the same command can end otherwise on a node that is unfinished.

    It cannot where a module or key is missing, the kernel keeps its value, or another file wins at the next boot.
    """
    if not is_unfinished(result.status, result.same_as):
        return False
    return bool(result.problem) or not problems(result) or not would_fail(result)


def exit_code(summary: RunSummary) -> int:
    """Return 0 if all is ok or changed; 3 for drift; 4 if something failed or was unreachable; 130 if interrupted.

    A preview such as plan is not a gate: drift is its answer.
    """
    counts = status_counts(summary.results)
    if summary.interrupted:
        return EXIT_INTERRUPTED
    if FAILURES & set(counts):
        return EXIT_FAILED
    return EXIT_DRIFT if Status.DRIFT in counts and not summary.verb.is_preview else EXIT_OK
