"""The sudo password: asked once before the fan-out, tried on one host first, never retried."""

from __future__ import annotations

from threading import Condition, Lock

from tasks.core.errors import RemoteError
from tasks.core.redact import Secret


class PasswordGate:
    """Lets one host try the password; the others wait for its verdict. A wrong one could lock the account everywhere.

    A host that turns out to need no password, or fails for another reason, passes the turn on to the next.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._trying = False
        self._accepted = False
        self._refused_on = ""

    def enter(self, host: str, seconds: float) -> None:
        """Waits for the turn, or for the password to be known good. Raises RemoteError if it was refused before."""
        with self._changed:
            free = self._changed.wait_for(lambda: self._refused_on or self._accepted or not self._trying, seconds)
            if self._refused_on:
                raise RemoteError(
                    f"the sudo password was not tried here: {self._refused_on} refused it",
                    "run again with --prompt-for-sudo-password and the right one",
                )
            if not free:
                raise RemoteError(
                    "the sudo password was still being tried on another host at this one's deadline",
                    "run again, or give it more time: --timeout",
                )
            self._trying = True

    def leave(self, host: str, accepted: bool | None) -> None:
        """Tells the others: accepted, refused (False), or nothing learned (None)."""
        with self._changed:
            self._trying = False
            self._accepted = self._accepted or accepted is True
            if accepted is False:
                self._refused_on = host
            self._changed.notify_all()


class PasswordGates:
    """A gate for each password: hosts may have their own in the inventory."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._gates: dict[Secret, PasswordGate] = {}

    def __reduce__(self) -> tuple[type[PasswordGates], tuple[()]]:
        """Another process has gates of its own."""
        return PasswordGates, ()

    def of(self, password: Secret) -> PasswordGate:
        """The gate that every host with this password goes through."""
        with self._lock:
            return self._gates.setdefault(password, PasswordGate())


def passwordless(host_user: str) -> RemoteError:
    """What is said when sudo wants a password and none was given."""
    return RemoteError(
        f"sudo needs a password for {host_user}, and none was given",
        "run again with fab --prompt-for-sudo-password, or give that user passwordless sudo",
    )
