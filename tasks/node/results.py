"""Results of one host: from the items of a plan, or from an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.core.boot.simulation import NextBoot
from tasks.core.errors import NodeError, ProfileError, UnreachableError
from tasks.core.host import Host
from tasks.core.memo import memoized
from tasks.core.result import Item, NodeResult, Status, worst_status
from tasks.core.sanitize import MAX_TEXT, UNSAFE_CHARACTERS, sanitize, shorten


def with_boot_notes(done: NodeResult, boot: NextBoot) -> NodeResult:
    """Add the notes on the next boot to a result."""
    return replace(done, notes=tuple(map(_harmless, boot.notes())))


def make_result(host: Host, items: Sequence[Item], bad: Status) -> NodeResult:
    """Return the result of a host from its items. bad: its status if one of them is not fine."""
    return NodeResult(host.name, worst_status(items, bad), tuple(map(_printable_item, items)))


@memoized(maxsize=1024)  # nodes have most of their items in common
def _printable_item(item: Item) -> Item:
    """Sanitize and shorten the texts of an item: terminal escapes of a node never reach the screen."""
    text = f"{item.name}{item.expected}{item.got}{item.why}{item.next_step}{item.decided_by}"
    if len(text) <= MAX_TEXT and not UNSAFE_CHARACTERS.search(text):
        return item
    return item._replace(
        name=_harmless(item.name),
        expected=_harmless(item.expected),
        got=None if item.got is None else _harmless(item.got),
        why=_harmless(item.why),
        next_step=_harmless(item.next_step),
        decided_by=_harmless(item.decided_by),
    )


def _harmless(text: str) -> str:
    return shorten(sanitize(text))


def failure_result(host: Host, error: BaseException) -> NodeResult:
    """Return an exception on a host as the result of that host. Only a bug has no next step of its own."""
    status = Status.UNREACHABLE if isinstance(error, UnreachableError) else Status.FAILED
    problem, step = f"{type(error).__name__}: {error}", "this is a bug in nodeprep: please report it"
    if isinstance(error, NodeError):
        problem, step = error.problem, error.next_step
    elif isinstance(error, ProfileError):
        problem, step = f"with this node's facts: {error}", "correct the template"
    return NodeResult(host.name, status, problem=_harmless(problem), next_step=_harmless(step))
