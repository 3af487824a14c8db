"""Apply a plan to one node and read it back, in at most two passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tasks.core.errors import ChangeRefusedError
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.plan.diff import Plan
from tasks.core.plan.persistence import package_update_hint
from tasks.core.plan.readback import read_back
from tasks.core.profile.profile import digest
from tasks.core.protocol import instructions as protocol
from tasks.core.protocol.lock import change_refusal
from tasks.core.result import NodeResult, Status
from tasks.core.sanitize import sanitize
from tasks.node import orders
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation
from tasks.node.results import make_result

PASSES = 2  # a key that a module brings may want to be set, and the file rendered once more


class Observation(NamedTuple):
    """One look at a node: what it is, and how that differs from what it should be."""

    facts: Facts
    plan: Plan


class Convergence(NamedTuple):
    """How a node differs from what it should be, and what to tell it to change that and to look again."""

    decide: Callable[[Facts], Observation]
    orders: Callable[[Observation], list[str]]


def converge(
    conversation: Conversation, host: Host, context: StepContext, first: Observation, goal: Convergence
) -> NodeResult:
    """Changes what differs, looks again, and reports what the second look shows."""
    looks, complaints, notes = [first], dict(first.facts.complaints), []
    tried: set[str] = set()  # only what was not asked for before is worth another pass
    while len(looks) <= PASSES and set(changes := orders.apply_instructions(looks[-1].plan)) - tried:
        try:
            facts = write(conversation, host, context, looks[-1].facts, goal.orders(looks[-1]))
        except ChangeRefusedError as error:
            if not conversation.had_lock:
                raise
            notes.append(f"no second pass: {error.problem}; {error.next_step}")
            break  # what the first one did is told all the same
        tried |= set(changes)
        complaints |= facts.complaints
        looks.append(goal.decide(facts))
    done = make_result(host, read_back([look.plan for look in looks], complaints), Status.FAILED)
    return replace(
        done, notes=(*_commented_out_notes([look.plan for look in looks], complaints), *map(sanitize, notes))
    )


def write(conversation: Conversation, host: Host, context: StepContext, facts: Facts, lines: Sequence[str]) -> Facts:
    """Instructions that change a node, under its lock, and what is there then. Raises RemoteError if we may not.

    Whoever has the lock is driven out once at most, not once more for a second pass.
    """
    first = [
        protocol.limit_commands(conversation.channel.seconds_left),
        *protocol.take_lock(context.change, force=context.force_unlock and not conversation.had_lock),
    ]
    found = conversation.change([*first, *lines, protocol.FINISH], host, facts, context)
    if refused := change_refusal(found):
        raise refused
    conversation.had_lock = True
    return found


def change_instructions(host: Host, context: StepContext, probe: Sequence[str], seen: Observation) -> list[str]:
    """What has to change on a host, after a snapshot of it, and the second look."""
    about = [f"profile {profile.name} {digest(profile)}" for profile in context.profiles[host.name]]
    changes = orders.apply_with_snapshot(seen.plan, seen.facts, context.change, about)
    return [*changes, *orders.readback_probe(probe, seen.plan, seen.facts)]


def _commented_out_notes(plans: Sequence[Plan], complaints: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """What was done to other people's files, line by line; or why not."""
    left = set(plans[-1].comment_out)
    for line in dict.fromkeys(line for plan in plans for line in plan.comment_out):
        said = complaints.get(("disable", str(line)), "")
        took = f"took over {line}: {line.text.strip()}{package_update_hint(line)}"
        yield sanitize(f"{line} could not be taken over: {said}" if line in left else took)
