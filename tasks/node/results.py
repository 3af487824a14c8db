"""Results of one host: from the items of a plan, or from an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from tasks.core.boot.simulation import Boot
from tasks.core.errors import NodeError, ProfileError, UnreachableError
from tasks.core.host import Host
from tasks.core.result import Item, NodeResult, Status, status_of
from tasks.core.sanitize import UNSAFE, printable


def advised(done: NodeResult, boot: Boot) -> NodeResult:
    """A result with what there is to say of the next boot besides."""
    return replace(done, notes=tuple(map(printable, boot.advice())))


def result(host: Host, items: Sequence[Item], bad: Status) -> NodeResult:
    """A host's result from its items."""
    return NodeResult(host.name, status_of(items, bad), tuple(map(_printable_item, items)))


@lru_cache(maxsize=1024)  # nodes have most of their items in common
def _printable_item(item: Item) -> Item:
    """An item whose texts, a node's among them, are harmless: terminal escapes of a node never reach the screen."""
    if not UNSAFE.search(f"{item.name}{item.expected}{item.got}{item.why}{item.next_step}{item.decided_by}"):
        return item
    return item._replace(
        name=printable(item.name),
        expected=printable(item.expected),
        got=None if item.got is None else printable(item.got),
        why=printable(item.why),
        next_step=printable(item.next_step),
        decided_by=printable(item.decided_by),
    )


def failure(host: Host, error: BaseException) -> NodeResult:
    """Any exception on a host as that host's result."""
    status = Status.UNREACHABLE if isinstance(error, UnreachableError) else Status.FAILED
    problem, step = f"{type(error).__name__}: {error}", "this is a bug in nodeprep: please report it"
    if isinstance(error, NodeError):
        problem, step = error.problem, error.next_step
    elif isinstance(error, ProfileError):
        problem, step = f"with this node's facts: {error}", "correct the template"
    return NodeResult(host.name, status, problem=printable(problem), next_step=printable(step))
