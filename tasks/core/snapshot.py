"""What a node keeps of its past, so that it can be taken back: node/snapshot.sh writes it, this reads it.

And the lock that keeps two changes apart, because both tell who is at work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.core.errors import RemoteError
from tasks.core.facts import Facts

STORE = "/var/lib/nodeprep"
LOCK = "/run/nodeprep.lock"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who changes what, and when, as it is left on the nodes. Each part is one word.

    run: `20261125-021502-a3f1`, UTC by the admin's clock, the same on all nodes of a run; who: user@machine.
    """

    run: str
    who: str
    verb: str


def refusal(facts: Facts) -> RemoteError | None:
    """Why a node did not let us change it, if so: someone else is at it, or no snapshot could be taken."""
    if holder := facts.complaints.get(("lock", LOCK)):
        return RemoteError(_locked(holder), "wait until it is done; if it never is: --force-unlock")
    if why := facts.complaints.get(("snapshot", STORE)):
        return RemoteError(f"no snapshot could be written, so nothing was changed: {why}", f"make room for {STORE}")
    if why := facts.complaints.get(("extend", STORE)):
        problem = f"the snapshot could not be completed, so no key was set: {why}"
        return RemoteError(problem, f"make room for {STORE}, then apply again")
    return None


def _locked(holder: str) -> str:
    """`apply anna@laptop 20261125-021502-a3f1` as a sentence; what does not look like it is shown as it is."""
    words = holder.split()
    if len(words) != 3 or not (time := when(words[2])):
        return f"{LOCK}: {holder}"
    return f"locked by {words[1]}: {words[0]} since {time}"


def when(run: str) -> str:
    """A run's time, or an empty text where there is none in its name."""
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-[0-9a-f]+", run)
    return "{}-{}-{} {}:{}:{} UTC".format(*match.groups()) if match else ""
