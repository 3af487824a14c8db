"""The far end for real: the node's script in shells of this machine, and a whole small node below a chroot."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.core.errors import RemoteError
from tasks.core.facts import Facts, parse
from tasks.remote import script

SHELLS = {name: path for name in ("dash", "bash", "busybox") if (path := shutil.which(name))}
SECONDS = 20.0


def needs(program: str) -> pytest.MarkDecorator:
    """Skips where a program is missing."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(argv: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    """A command with bytes on its stdin, to its end."""
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)


class Process:
    """A Channel whose far end is a process: login shell and all."""

    address = "admin@192.0.2.1:22"

    def __init__(self, login: Sequence[str], environment: dict[str, str], umask: int, directory: Path | None) -> None:
        self._login, self._environment, self._umask, self._directory = login, environment, umask, directory
        self._buffer = b""
        self._mark = script.new_mark()
        self.sent = b""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: str, data: bytes) -> None:
        """Runs a command as sshd would: through the login shell."""
        self.process = subprocess.Popen(
            [*self._login, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            umask=self._umask,
            cwd=self._directory,
            bufsize=0,
        )
        self.send(data)

    def send(self, data: bytes) -> None:
        """Writes to its stdin."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.sent += data
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """Output up to one of `ends`, and which, as the real session does it."""
        deadline = time.monotonic() + SECONDS
        while True:
            for end in ends:
                before, found, after = self._buffer.partition(end)
                if found:
                    self._buffer = after
                    return before, end
            self._buffer += self._more(deadline)

    def _more(self, deadline: float) -> bytes:
        assert self.process is not None
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise RemoteError(f"no answer within {SECONDS:g} s")
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            said = self._buffer.decode("utf-8", "replace").strip()
            raise RemoteError(f"the node's shell ended with status {self.process.wait()}: {said}")
        return data

    def begin(self, lines: Sequence[str], *, changes: bool = False) -> Facts:
        """The first request, without a Conversation."""
        data = script.request(self._mark, lines, changes=changes)
        self.start(script.command(self._mark, len(data)), data)
        return self._reply()

    def again(self, lines: Sequence[str], *, changes: bool = False) -> Facts:
        """A further request."""
        data = script.request(self._mark, lines, changes=changes)
        self.send(f"again {len(data)}\n".encode() + data)
        return self._reply()

    def _reply(self) -> Facts:
        self.receive(f"{self._mark} begin\n".encode())
        body = self.receive(f"{self._mark} end\n".encode())[0]
        return parse(body.decode("utf-8", "replace").replace(self._mark, "=="))

    def finish(self) -> tuple[int, bytes]:
        """Closes its stdin; its status, and what else it said."""
        assert self.process is not None
        rest, _ = self.process.communicate(timeout=SECONDS)
        said, self._buffer = self._buffer + rest, b""
        return self.process.returncode, said

    def close(self) -> None:
        """Ends it."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError, ValueError):
                self.process.communicate(timeout=2)
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Shell:
    """A shell that is `sh` on the far end. folder: the first of its PATH."""

    folder: Path
    login: tuple[str, ...] = ("sh", "-c")

    @classmethod
    def named(cls, name: str, folder: Path, login: tuple[str, ...] = ("sh", "-c")) -> Shell:
        """One of SHELLS, as the only `sh` of a PATH; busybox with all its other programs too."""
        programs = folder / "bin"
        programs.mkdir(exist_ok=True)
        names = ["sh"]
        if name == "busybox":
            names += subprocess.run([SHELLS[name], "--list"], capture_output=True, text=True, check=True).stdout.split()
        for program in dict.fromkeys(names):
            (programs / program).symlink_to(SHELLS[name])
        return cls(programs, login)

    @contextlib.contextmanager
    def open(self, *, umask: int = 0o022, directory: Path | None = None, **environment: str) -> Iterator[Process]:
        """A channel to it."""
        path = f"{self.folder}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        variables = {"HOME": str(self.folder), "PATH": path, **environment}
        login = (shutil.which(self.login[0], path=path) or self.login[0], *self.login[1:])
        process = Process(login, variables, umask, directory)
        try:
            yield process
        finally:
            process.close()

    def first(
        self,
        lines: Sequence[str],
        *,
        changes: bool = True,
        umask: int = 0o022,
        directory: Path | None = None,
        **environment: str,
    ) -> Facts:
        """One request to a channel of its own; it has to end well."""
        with self.open(umask=umask, directory=directory, **environment) as far:
            found = far.begin(lines, changes=changes)
            assert far.finish() == (0, b"")
        return found
