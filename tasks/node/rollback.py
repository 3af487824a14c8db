"""Rollback of one host: read its snapshots, restore the state before them, drop them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from tasks.core.errors import ChangeRefusedError, UsageError
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.protocol import instructions as protocol
from tasks.core.protocol.lock import run_time
from tasks.core.result import NodeResult, SnapshotSummary, Status
from tasks.core.sanitize import sanitize
from tasks.core.undo import rollback
from tasks.core.undo.snapshot import PriorState, Snapshot, parse_snapshots, prior_state
from tasks.node import orders
from tasks.node.context import StepContext
from tasks.node.converge import Convergence, Observation, converge, write
from tasks.node.conversation import Conversation
from tasks.node.results import make_result

NOTHING = "nothing to take back"


def check_run_name(to: str) -> None:
    """Raise UsageError unless a text has the form of a run's name; an empty text means the newest."""
    if to and not run_time(to):
        raise UsageError(
            f"--to-run: expected a run, such as 20261125-021502-a3f1 (rollback --list names them), got {to!r}"
        )


def read_snapshots(conversation: Conversation, host: Host, context: StepContext) -> tuple[tuple[Snapshot, ...], Facts]:
    """Read the snapshots of a host as root, the oldest first; and the facts of that probe."""
    facts = conversation.ask(orders.probe([], []))
    facts = conversation.change([protocol.read_history(), protocol.SCAN], host, facts, context)
    return parse_snapshots(facts), facts


def list_snapshots(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """List the changes that can be taken back on a host, the newest first."""
    found, _ = read_snapshots(conversation, host, context)
    return NodeResult(host.name, Status.OK, snapshots=tuple(map(_sanitized_summary, reversed(found))))


def _sanitized_summary(snapshot: Snapshot) -> SnapshotSummary:
    return SnapshotSummary(*map(sanitize, rollback.summarize_snapshot(snapshot)))


@dataclass(frozen=True, slots=True)
class _RollbackPlan:
    """The chosen snapshots, the state of the node now, and the goal of the change."""

    chosen: tuple[Snapshot, ...]
    observation: Observation
    goal: Convergence


def _plan_rollback(to: str, conversation: Conversation, host: Host, context: StepContext) -> _RollbackPlan | None:
    found, facts = read_snapshots(conversation, host, context)
    if not (chosen := rollback.select_snapshots(found, to)):
        return None
    past = prior_state(chosen)
    probe = [*rollback.probe_instructions(past), *orders.probe(past.keys, [*past.modules, *past.unloaded])]
    goal = Convergence(partial(_observe, past), partial(_instructions, chosen[-1], probe))
    return _RollbackPlan(chosen, goal.observe(conversation.change(probe, host, facts, context)), goal)


def _observe(past: PriorState, facts: Facts) -> Observation:
    return Observation(facts, rollback.make_plan(past, facts))


def _instructions(newest: Snapshot, probe: Sequence[str], observation: Observation) -> list[str]:
    return [protocol.expect_newest(newest.path), *orders.apply_instructions(observation.plan), *probe]


def _notes(chosen: Sequence[Snapshot], done: str) -> tuple[str, ...]:
    return tuple(f"{done}: {rollback.format_snapshot(_sanitized_summary(snapshot))}" for snapshot in reversed(chosen))


def plan_rollback(to: str, conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Return the items that a rollback would change."""
    if not (plan := _plan_rollback(to, conversation, host, context)):
        return NodeResult(host.name, Status.OK, notes=(NOTHING,))
    return replace(
        make_result(host, plan.observation.plan.items, Status.DRIFT), notes=_notes(plan.chosen, "would take back")
    )


def rollback_host(to: str, conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Restore the state before the newest change, or before run `to`; then drop those snapshots."""
    if not (plan := _plan_rollback(to, conversation, host, context)):
        return NodeResult(host.name, Status.OK, notes=(NOTHING,))
    done = converge(conversation, host, context, plan.observation, plan.goal)
    notes = _notes(plan.chosen, "took back")
    if done.status is Status.FAILED:
        notes = _notes(plan.chosen, "not all could be taken back, so it is kept")
    else:
        notes += _drop_snapshots(plan, conversation, host, context)
        done = replace(done, status=Status.CHANGED)
    return replace(done, notes=(*done.notes, *notes))


def _drop_snapshots(
    plan: _RollbackPlan, conversation: Conversation, host: Host, context: StepContext
) -> tuple[str, ...]:
    """Drop the snapshots that were taken back; return a note for each that could not be dropped."""
    newest = protocol.expect_newest(plan.chosen[-1].path)
    lines = [protocol.forget_snapshot(snapshot.path) for snapshot in reversed(plan.chosen)]
    try:
        facts = write(conversation, host, context, plan.observation.facts, [newest, *lines, protocol.SCAN])
    except ChangeRefusedError as error:
        why = error.problem.partition(":")[0]
        return (sanitize(f"it can be taken back once more, for its snapshot could not be thrown away: {why}"),)
    left = [(path, why) for (verb, path), why in facts.complaints.items() if verb == "forget"]
    return tuple(sanitize(f"{path} could not be removed: {why}") for path, why in left)
