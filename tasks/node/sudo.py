"""The sudo password: asked for once before the fan-out, tried on one host at first, on each at most once."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Condition, Lock

from tasks.core.errors import RemoteError
from tasks.core.redact import Secret

FIRST_PATIENCE = 1.0  # seconds that the others wait for the first host's outcome
LATER_PATIENCE = 4.0  # the same for a host that tries beside or after another: pam_unix delays a refusal by 2 s
PULSE = 0.5  # seconds between two calls of keep_alive


class PasswordGate:
    """A gate before the sudo password: one host tries it, and the others wait for its outcome.

    A wrong password that is tried everywhere at once could lock the account everywhere. But one host must not decide
    for the others, since its sudo may hang or lie:

    - A host that gives no outcome within its patience lets the next one try beside it.
    - The password is wrong when two hosts have refused it and none has accepted it.
    - Once one host has accepted it, all may try; a refusal then concerns the refusing host alone.

    A host that fails for another reason passes the turn on to the next host.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._accepted = False
        self._refused_by: list[str] = []
        self._inside = 0
        self._last = ""  # the host that has the turn
        self._turn_ends = 0.0  # when the next host may try, on the monotonic clock

    def enter(self, host: str, keep_alive: Callable[[float], None]) -> None:
        """Wait for the turn. Raises RemoteError if the password is wrong.

        keep_alive: called with the seconds that were just waited, at least every PULSE seconds and not under a lock.
        """
        start = time.monotonic()
        while not self._wait(host):
            keep_alive(time.monotonic() - start)
            start = time.monotonic()

    def _wait(self, host: str) -> bool:
        """Wait up to PULSE seconds; return True if it is the host's turn, which is then taken."""
        with self._changed:
            left = self._turn_ends - time.monotonic()
            admitted = self._changed.wait_for(self._is_free, max(0.0, min(PULSE, left)))
            if self._is_wrong():
                raise RemoteError(
                    f"the sudo password was not tried here: {' and '.join(self._refused_by)} refused it",
                    "run again with --prompt-for-sudo-password and the right one",
                )
            if admitted:
                self._inside += 1
                self._last = host
                only = self._inside == 1 and not self._refused_by
                self._turn_ends = time.monotonic() + (FIRST_PATIENCE if only else LATER_PATIENCE)
            return admitted

    def _is_wrong(self) -> bool:
        return len(self._refused_by) > 1 and not self._accepted

    def _is_free(self) -> bool:
        return self._accepted or self._is_wrong() or not self._last or time.monotonic() >= self._turn_ends

    def leave(self, host: str, accepted: bool | None) -> None:
        """Record the outcome: True for accepted, False for refused, None if the password was not judged."""
        with self._changed:
            self._inside -= 1
            self._accepted = self._accepted or accepted is True
            if accepted is False and host not in self._refused_by:
                self._refused_by.append(host)
            if host == self._last:
                self._last = ""
            self._changed.notify_all()


class PasswordGates:
    """A gate for each password: hosts may have their own in the inventory."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._gates: dict[Secret, PasswordGate] = {}

    def __reduce__(self) -> tuple[type[PasswordGates], tuple[()]]:
        """Pickle as new gates: another process has its own."""
        return PasswordGates, ()

    def of(self, password: Secret) -> PasswordGate:
        """Return the gate that every host with this password passes."""
        with self._lock:
            return self._gates.setdefault(password, PasswordGate())


def password_missing(user: str) -> RemoteError:
    """Return the error for a sudo that asks for a password where none was given."""
    return RemoteError(
        f"sudo needs a password for {user}, and none was given",
        "run again with fab --prompt-for-sudo-password, or give that user passwordless sudo",
    )
