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

PASSES = 2  # a key that comes with a module may need to be set, and the file to be rendered again


class Observation(NamedTuple):
    """One probe of a node: its facts, and the plan that follows from them."""

    facts: Facts
    plan: Plan


class Convergence(NamedTuple):
    """The goal of a change: a plan for facts, and the instructions that carry it out and probe again."""

    observe: Callable[[Facts], Observation]
    instructions: Callable[[Observation], list[str]]


def converge(
    conversation: Conversation, host: Host, context: StepContext, first: Observation, goal: Convergence
) -> NodeResult:
    """Change what differs, probe again, and report what that probe shows."""
    seen, complaints, notes = [first], dict(first.facts.complaints), []
    tried: set[str] = set()  # a pass that repeats only what was tried before is useless
    while len(seen) <= PASSES and set(changes := orders.apply_instructions(seen[-1].plan)) - tried:
        try:
            facts = write(conversation, host, context, seen[-1].facts, goal.instructions(seen[-1]))
        except ChangeRefusedError as error:
            if not conversation.had_lock:
                raise
            notes.append(f"no second pass: {error.problem}; {error.next_step}")
            break  # the first pass is reported all the same
        tried |= set(changes)
        complaints |= facts.complaints
        seen.append(goal.observe(facts))
    plans = [observation.plan for observation in seen]
    done = make_result(host, read_back(plans, complaints), Status.FAILED)
    return replace(done, notes=(*_commented_out_notes(plans, complaints), *map(sanitize, notes)))


def write(conversation: Conversation, host: Host, context: StepContext, facts: Facts, lines: Sequence[str]) -> Facts:
    """Send instructions that change a node, under its lock, and return the facts afterwards.

    --force-unlock takes the lock from its holder in the first pass only. Raises ChangeRefusedError if the node refuses.
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


def change_instructions(host: Host, context: StepContext, probe: Sequence[str], observation: Observation) -> list[str]:
    """Return the instructions that take a snapshot, carry out the plan, and probe again."""
    about = [f"profile {profile.name} {digest(profile)}" for profile in context.profiles[host.name]]
    changes = orders.apply_with_snapshot(observation.plan, observation.facts, context.change, about)
    return [*changes, *orders.readback_probe(probe, observation.plan, observation.facts)]


def _commented_out_notes(plans: Sequence[Plan], complaints: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Yield a note for each line of another owner's file: that it was commented out, or the reason why not."""
    left = set(plans[-1].comment_out)
    for line in dict.fromkeys(line for plan in plans for line in plan.comment_out):
        problem = complaints.get(("disable", str(line)), "")
        done = f"commented out {line}: {line.text.strip()}{package_update_hint(line)}"
        yield sanitize(f"{line} could not be commented out: {problem}" if line in left else done)
