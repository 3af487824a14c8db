"""ProxyCommand as OpenSSH runs it. fabric's implementation uses 22 for %p and spins on a command that has ended."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import tempfile

from tasks.core.errors import UnreachableError
from tasks.core.inventory.names import name_problem
from tasks.ssh.environment import child_environment


class Proxy:
    """A running ProxyCommand. socket: our end of its stdin and stdout."""

    def __init__(self, command: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 # open until close()
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],  # written by the admin, and run as OpenSSH does
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                env=child_environment(),
                start_new_session=True,  # Ctrl-C must not end it: hosts under way finish
            )

    def last_errors(self) -> str:
        """Return the end of its stderr, waiting up to 0.2 s for it to exit: its stdin may just have ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        return "; ".join(line.strip() for line in lines if line.strip())[-300:]

    def close(self) -> None:
        """Terminate it, and kill it if it is still there after 1 s."""
        self.socket.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._process.kill()
        self._process.wait()
        self._errors.close()


def expand(command: str, host: str, port: int, user: str, name: str) -> str:
    """Return the command with %h, %n (the name as given), %p, %r and %% filled in.

    Raise UnreachableError for a user whose name could mean something else to the shell that runs it.
    """
    if "%r" in command and (problem := name_problem(user)):
        raise UnreachableError(f"the user of ProxyCommand: {problem}", "name another user")
    values = {"h": host, "n": name, "p": str(port), "r": user, "%": "%"}
    return re.sub("%([hnpr%])", lambda match: values[match[1]], command)
