"""The lock of a node: the identity of a run, and the refusal of a change by the node."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.core.errors import ChangeRefusedError
from tasks.core.facts import Facts

STORE = "/var/lib/nodeprep"
LOCK = "/run/nodeprep.lock"


@dataclass(frozen=True, slots=True)
class ChangeId:
    """The identity of a change, as it is left on the nodes. Each part is one word.

    run: `20261125-021502-a3f1`, UTC by the admin's clock, the same on all nodes of a run; who: user@machine; verb: the
    command.
    """

    run: str
    who: str
    verb: str


def change_refusal(facts: Facts) -> ChangeRefusedError | None:
    """Return the error of a node that refused a change: another run has the lock, or no snapshot was written."""
    if holder := facts.complaints.get(("lock", LOCK)):
        return ChangeRefusedError(_locked(holder), "wait until that run has ended; if it never does: --force-unlock")
    if why := facts.complaints.get(("snapshot", STORE)):
        return ChangeRefusedError(
            f"no snapshot could be written, so nothing was changed: {why}", f"make room for {STORE}"
        )
    if why := facts.complaints.get(("extend", STORE)):
        problem = f"the snapshot could not be completed, so no key was set: {why}"
        return ChangeRefusedError(problem, f"make room for {STORE}, then apply again")
    if newer := next((why for (verb, _), why in facts.complaints.items() if verb == "newest"), ""):
        return ChangeRefusedError(
            f"changed meanwhile by {newer.partition('.')[2]}: nothing was taken back", "look at its --plan"
        )
    return None


def _locked(holder: str) -> str:
    """Describe the holder of a lock, `apply anna@laptop 20261125-021502-a3f1`; any other text is quoted as it is."""
    words = holder.split()
    if len(words) != 3 or not (time := run_time(words[2])):
        return f"{LOCK}: {holder}"
    return f"locked by {words[1]}: {words[0]} since {time}"


def run_time(run: str) -> str:
    """Return the time in a run's name, or an empty text if it has none."""
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-[0-9a-f]+", run)
    return "{}-{}-{} {}:{}:{} UTC".format(*match.groups()) if match else ""
