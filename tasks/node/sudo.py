"""The sudo password: asked for once before the fan-out, tried on one host first, never repeated."""

from __future__ import annotations

from threading import Condition, Lock

from tasks.core.errors import RemoteError
from tasks.core.redact import Secret


class PasswordGate:
    """A gate before the sudo password: one host tries it, and the others wait for its outcome.

    A wrong password that is tried everywhere at once could lock the account everywhere. A host that needs no password,
    or fails for another reason, passes the turn on to the next host.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._trying = False
        self._accepted = False
        self._refused_by = ""

    def enter(self, seconds: float) -> None:
        """Wait up to `seconds` for the turn, or for the password to be accepted elsewhere.

        Raises RemoteError if the password was refused elsewhere, or at the end of the time.
        """
        with self._changed:
            free = self._changed.wait_for(lambda: self._refused_by or self._accepted or not self._trying, seconds)
            if self._refused_by:
                raise RemoteError(
                    f"the sudo password was not tried here: {self._refused_by} refused it",
                    "run again with --prompt-for-sudo-password and the right one",
                )
            if not free:
                raise RemoteError(
                    "the sudo password was still being tried on another host at this one's deadline",
                    "run again, or give it more time: --timeout",
                )
            self._trying = True

    def leave(self, host: str, accepted: bool | None) -> None:
        """Record the outcome: True for accepted, False for refused, None if the password was not judged."""
        with self._changed:
            self._trying = False
            self._accepted = self._accepted or accepted is True
            if accepted is False:
                self._refused_by = host
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
