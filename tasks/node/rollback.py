"""Taking back on one host: its snapshots are read, what they say is made so, and what is done with is thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from tasks.core.errors import ChangeRefusedError, UsageError
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.protocol.lock import STORE, run_time
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
    """Raise UsageError for a text that is not a run's name by its form; an empty text means the newest."""
    if to and not run_time(to):
        raise UsageError(
            f"--to-run: expected a run, such as 20261125-021502-a3f1 (rollback --list names them), got {to!r}"
        )


def read_snapshots(conversation: Conversation, host: Host, context: StepContext) -> tuple[tuple[Snapshot, ...], Facts]:
    """A host's snapshots, the oldest first. Only root may read them."""
    facts = conversation.ask(orders.probe([], []))
    facts = conversation.change([f"history {STORE}", "scan"], host, facts, context)
    return parse_snapshots(facts), facts


def list_snapshots(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Return what can be taken back on a host, the newest first."""
    found, _ = read_snapshots(conversation, host, context)
    return NodeResult(host.name, Status.OK, snapshots=tuple(map(_sanitized_summary, reversed(found))))


def _sanitized_summary(snapshot: Snapshot) -> SnapshotSummary:
    return SnapshotSummary(*map(sanitize, rollback.summarize_snapshot(snapshot)))


@dataclass(frozen=True, slots=True)
class _RollbackPlan:
    """What is to be taken back, how the node differs from that now, and how to get there."""

    chosen: tuple[Snapshot, ...]
    seen: Observation
    goal: Convergence


def _plan_rollback(to: str, conversation: Conversation, host: Host, context: StepContext) -> _RollbackPlan | None:
    found, facts = read_snapshots(conversation, host, context)
    if not (chosen := rollback.select_snapshots(found, to)):
        return None
    past = prior_state(chosen)
    probe = [*rollback.probe_instructions(past), *orders.probe(past.keys, [*past.modules, *past.unloaded])]
    goal = Convergence(partial(_observe, past), partial(_orders, chosen[-1], probe))
    return _RollbackPlan(chosen, goal.decide(conversation.change(probe, host, facts, context)), goal)


def _observe(past: PriorState, facts: Facts) -> Observation:
    return Observation(facts, rollback.make_plan(past, facts))


def _orders(newest: Snapshot, probe: Sequence[str], seen: Observation) -> list[str]:
    return [f"newest {newest.path}", *orders.apply_instructions(seen.plan), *probe]


def _notes(chosen: Sequence[Snapshot], done: str) -> tuple[str, ...]:
    return tuple(f"{done}: {rollback.format_snapshot(_sanitized_summary(snapshot))}" for snapshot in reversed(chosen))


def plan_rollback(to: str, conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """What a rollback would do."""
    if not (aim := _plan_rollback(to, conversation, host, context)):
        return NodeResult(host.name, Status.OK, notes=(NOTHING,))
    return replace(make_result(host, aim.seen.plan.items, Status.DRIFT), notes=_notes(aim.chosen, "would take back"))


def rollback_host(to: str, conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Makes everything as it was before the newest change, or before run `to`. Then those snapshots go."""
    if not (aim := _plan_rollback(to, conversation, host, context)):
        return NodeResult(host.name, Status.OK, notes=(NOTHING,))
    done = converge(conversation, host, context, aim.seen, aim.goal)
    notes = _notes(aim.chosen, "took back")
    if done.status is Status.FAILED:
        notes = _notes(aim.chosen, "not all could be taken back, so it is kept")
    else:
        notes += _drop_snapshots(aim, conversation, host, context)
        done = replace(done, status=Status.CHANGED)
    return replace(done, notes=(*done.notes, *notes))


def _drop_snapshots(
    aim: _RollbackPlan, conversation: Conversation, host: Host, context: StepContext
) -> tuple[str, ...]:
    """Throws away the snapshots that are done with; what could not be."""
    lines = [f"forget {snapshot.path}" for snapshot in reversed(aim.chosen)]
    try:
        facts = write(conversation, host, context, aim.seen.facts, [f"newest {aim.chosen[-1].path}", *lines, "scan"])
    except ChangeRefusedError as error:
        why = error.problem.partition(":")[0]
        return (sanitize(f"it can be taken back once more, for its snapshot could not be thrown away: {why}"),)
    left = [(path, why) for (verb, path), why in facts.complaints.items() if verb == "forget"]
    return tuple(sanitize(f"{path} could not be removed: {why}") for path, why in left)
