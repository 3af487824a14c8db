"""Apply a plan to one node and read it back, in at most two passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tasks.core.errors import ChangeRefusedError
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.plan.diff import Plan
from tasks.core.plan.persistence import comes_back
from tasks.core.plan.readback import settled
from tasks.core.profile.profile import digest
from tasks.core.protocol import instructions as instructions_instructions
from tasks.core.protocol.lock import refusal
from tasks.core.result import NodeResult, Status
from tasks.core.sanitize import printable
from tasks.node import orders as instructions
from tasks.node.conversation import Conversation
from tasks.node.results import result
from tasks.node.work import Work

PASSES = 2  # a key that a module brings may want to be set, and the file rendered once more


class Seen(NamedTuple):
    """One look at a node: what it is, and how that differs from what it should be."""

    facts: Facts
    plan: Plan


class Goal(NamedTuple):
    """How a node differs from what it should be, and what to tell it to change that and to look again."""

    decide: Callable[[Facts], Seen]
    orders: Callable[[Seen], list[str]]


def converge(talk: Conversation, host: Host, work: Work, first: Seen, goal: Goal) -> NodeResult:
    """Changes what differs, looks again, and reports what the second look shows."""
    looks, complaints, notes = [first], dict(first.facts.complaints), []
    tried: set[str] = set()  # only what was not asked for before is worth another pass
    while len(looks) <= PASSES and set(orders := instructions.apply(looks[-1].plan)) - tried:
        try:
            facts = write(talk, host, work, looks[-1].facts, goal.orders(looks[-1]))
        except ChangeRefusedError as error:
            if not talk.had_lock:
                raise
            notes.append(f"no second pass: {error.problem}; {error.next_step}")
            break  # what the first one did is told all the same
        tried |= set(orders)
        complaints |= facts.complaints
        looks.append(goal.decide(facts))
    done = result(host, settled([look.plan for look in looks], complaints), Status.FAILED)
    return replace(done, notes=(*_taken_over([look.plan for look in looks], complaints), *map(printable, notes)))


def write(talk: Conversation, host: Host, work: Work, facts: Facts, lines: Sequence[str]) -> Facts:
    """Instructions that change a node, under its lock, and what is there then. Raises RemoteError if we may not.

    Whoever has the lock is driven out once at most, not once more for a second pass.
    """
    first = [
        instructions_instructions.within(talk.channel.seconds_left),
        *instructions_instructions.locked(work.stamp, force=work.force_unlock and not talk.had_lock),
    ]
    found = talk.change([*first, *lines, "finish"], host, facts, work)
    if refused := refusal(found):
        raise refused
    talk.had_lock = True
    return found


def recorded(host: Host, work: Work, probe: Sequence[str], seen: Seen) -> list[str]:
    """What has to change on a host, after a snapshot of it, and the second look."""
    about = [f"profile {profile.name} {digest(profile)}" for profile in work.profiles[host.name]]
    orders = instructions.recorded(seen.plan, seen.facts, work.stamp, about)
    return [*orders, *instructions.second(probe, seen.plan, seen.facts)]


def _taken_over(plans: Sequence[Plan], complaints: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """What was done to other people's files, line by line; or why not."""
    left = set(plans[-1].take_over)
    for line in dict.fromkeys(line for plan in plans for line in plan.take_over):
        said = complaints.get(("disable", str(line)), "")
        took = f"took over {line}: {line.text.strip()}{comes_back(line)}"
        yield printable(f"{line} could not be taken over: {said}" if line in left else took)
