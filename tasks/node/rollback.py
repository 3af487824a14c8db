"""Taking back on one host: its snapshots are read, what they say is made so, and what is done with is thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from tasks.core.errors import ChangeRefusedError, UsageError
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.protocol.lock import STORE, when
from tasks.core.result import NodeResult, Status
from tasks.core.sanitize import printable
from tasks.core.undo import rollback
from tasks.core.undo.snapshot import Past, Snapshot, before, snapshots
from tasks.node import orders as instructions
from tasks.node.converge import Goal, Seen, converge, write
from tasks.node.conversation import Conversation
from tasks.node.results import result
from tasks.node.work import Work

NOTHING = "nothing to take back"


def check(to: str) -> None:
    """Raises UsageError for what is no run's name by its form; an empty text means the newest."""
    if to and not when(to):
        raise UsageError(f"--to: expected a run, such as 20261125-021502-a3f1 (rollback --list names them), got {to!r}")


def history(talk: Conversation, host: Host, work: Work) -> tuple[tuple[Snapshot, ...], Facts]:
    """A host's snapshots, the oldest first. Only root may read them."""
    facts = talk.ask(instructions.probe([], []))
    facts = talk.change([f"history {STORE}", "scan"], host, facts, work)
    return snapshots(facts), facts


def listed(talk: Conversation, host: Host, work: Work) -> NodeResult:
    """What can be taken back on a host, the newest first."""
    found, _ = history(talk, host, work)
    return result(host, [rollback.listed(snapshot) for snapshot in reversed(found)], Status.FAILED)


@dataclass(frozen=True, slots=True)
class _Aim:
    """What is to be taken back, how the node differs from that now, and how to get there."""

    chosen: tuple[Snapshot, ...]
    seen: Seen
    goal: Goal


def _aim(to: str, talk: Conversation, host: Host, work: Work) -> _Aim | None:
    found, facts = history(talk, host, work)
    if not (chosen := rollback.choose(found, to)):
        return None
    past = before(chosen)
    probe = [*rollback.questions(past), *instructions.probe(past.keys, [*past.modules, *past.unloaded])]
    goal = Goal(partial(_seen, past), partial(_orders, chosen[-1], probe))
    return _Aim(chosen, goal.decide(talk.change(probe, host, facts, work)), goal)


def _seen(past: Past, facts: Facts) -> Seen:
    return Seen(facts, rollback.plan(past, facts))


def _orders(newest: Snapshot, probe: Sequence[str], seen: Seen) -> list[str]:
    return [f"newest {newest.path}", *instructions.apply(seen.plan), *probe]


def _notes(chosen: Sequence[Snapshot], done: str) -> tuple[str, ...]:
    return tuple(printable(f"{done}: {rollback.told(rollback.listed(snapshot))}") for snapshot in reversed(chosen))


def plan(to: str, talk: Conversation, host: Host, work: Work) -> NodeResult:
    """What a rollback would do."""
    if not (aim := _aim(to, talk, host, work)):
        return NodeResult(host.name, Status.OK, notes=(NOTHING,))
    return replace(result(host, aim.seen.plan.items, Status.DRIFT), notes=_notes(aim.chosen, "would take back"))


def take_back(to: str, talk: Conversation, host: Host, work: Work) -> NodeResult:
    """Makes everything as it was before the newest change, or before run `to`. Then those snapshots go."""
    if not (aim := _aim(to, talk, host, work)):
        return NodeResult(host.name, Status.OK, notes=(NOTHING,))
    done = converge(talk, host, work, aim.seen, aim.goal)
    notes = _notes(aim.chosen, "took back")
    if done.status is Status.FAILED:
        notes = _notes(aim.chosen, "not all could be taken back, so it is kept")
    else:
        notes += _forget(aim, talk, host, work)
        done = replace(done, status=Status.CHANGED)
    return replace(done, notes=(*done.notes, *notes))


def _forget(aim: _Aim, talk: Conversation, host: Host, work: Work) -> tuple[str, ...]:
    """Throws away the snapshots that are done with; what could not be."""
    lines = [f"forget {snapshot.path}" for snapshot in reversed(aim.chosen)]
    try:
        facts = write(talk, host, work, aim.seen.facts, [f"newest {aim.chosen[-1].path}", *lines, "scan"])
    except ChangeRefusedError as error:
        why = error.problem.partition(":")[0]
        return (printable(f"it can be taken back once more, for its snapshot could not be thrown away: {why}"),)
    left = [(path, why) for (verb, path), why in facts.complaints.items() if verb == "forget"]
    return tuple(printable(f"{path} could not be removed: {why}") for path, why in left)
