"""ProxyCommand as OpenSSH runs it. fabric's way takes %p for 22, and spins on a command that has ended."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import tempfile

LOCAL_ERRORS = "FABRIC_SUDO_PASSWORD"  # a child would have it, too, in its own environment


class Proxy:
    """A ProxyCommand under way: `socket` is our end of its stdin and stdout."""

    def __init__(self, command: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 # open as long as the command runs
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],  # the admin's own words, as OpenSSH takes them
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                env={name: value for name, value in os.environ.items() if name != LOCAL_ERRORS},
                start_new_session=True,  # Ctrl-C is for us: hosts under way finish
            )

    def said(self) -> str:
        """The end of what it said on stderr; a moment is left to it, for its stdin may have ended just now."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        return "; ".join(line.strip() for line in lines if line.strip())[-300:]

    def close(self) -> None:
        """Ends it, by force when asking does not help."""
        self.socket.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._process.kill()
        self._process.wait()
        self._errors.close()


def expand(command: str, host: str, port: int, user: str) -> str:
    """The command with %h, %p, %r and %% filled in; host and user were checked to be nothing for a shell."""
    values = {"h": host, "n": host, "p": str(port), "r": user, "%": "%"}
    return re.sub("%([hnpr%])", lambda match: values[match[1]], command)
