"""Results of one host: from the items of a plan, or from an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.core.boot.simulation import NextBoot
from tasks.core.errors import NodeError, ProfileError, UnreachableError
from tasks.core.host import Host
from tasks.core.memo import memoized
from tasks.core.result import Item, NodeResult, Status, worst_status
from tasks.core.sanitize import UNSAFE_CHARACTERS, sanitize


def with_boot_notes(done: NodeResult, boot: NextBoot) -> NodeResult:
    """Add the notes on the next boot to a result."""
    return replace(done, notes=tuple(map(sanitize, boot.notes())))


def make_result(host: Host, items: Sequence[Item], bad: Status) -> NodeResult:
    """Return the result of a host from its items. bad: its status if one of them is not fine."""
    return NodeResult(host.name, worst_status(items, bad), tuple(map(_printable_item, items)))


@memoized(maxsize=1024)  # nodes have most of their items in common
def _printable_item(item: Item) -> Item:
    """Sanitize the texts of an item: terminal escapes of a node never reach the screen."""
    if not UNSAFE_CHARACTERS.search(f"{item.name}{item.expected}{item.got}{item.why}{item.next_step}{item.decided_by}"):
        return item
    return item._replace(
        name=sanitize(item.name),
        expected=sanitize(item.expected),
        got=None if item.got is None else sanitize(item.got),
        why=sanitize(item.why),
        next_step=sanitize(item.next_step),
        decided_by=sanitize(item.decided_by),
    )


def failure_result(host: Host, error: BaseException) -> NodeResult:
    """Return an exception on a host as the result of that host. Only a bug has no next step of its own."""
    status = Status.UNREACHABLE if isinstance(error, UnreachableError) else Status.FAILED
    problem, step = f"{type(error).__name__}: {error}", "this is a bug in nodeprep: please report it"
    if isinstance(error, NodeError):
        problem, step = error.problem, error.next_step
    elif isinstance(error, ProfileError):
        problem, step = f"with this node's facts: {error}", "correct the template"
    return NodeResult(host.name, status, problem=sanitize(problem), next_step=sanitize(step))
