"""A real far end for the node's script: shells of this machine, and a whole small node below a chroot."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import RemoteError, ShellEndedError
from tasks.core.facts import Facts
from tasks.core.protocol.reply import parse_reply
from tasks.node import script

SHELLS = {name: path for name in ("dash", "bash", "busybox") if (path := shutil.which(name))}
SECONDS = 60.0


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test if a program is missing."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(argv: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a command with bytes on its stdin, to its end."""
    return subprocess.run(
        argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False
    )


class Process:
    """A Channel whose far end is a process, started through a login shell."""

    user = "admin"
    seconds_left = SECONDS
    unsafe = False

    def __init__(self, login: Sequence[str], environment: dict[str, str], umask: int, directory: Path | None) -> None:
        self._login, self._environment, self._umask, self._directory = login, environment, umask, directory
        self._buffer = b""
        self._mark = script.new_mark()
        self.sent, self.received = b"", b""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: str, data: bytes) -> None:
        """Run a command as sshd would: through the login shell."""
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
        """Write to its stdin."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.sent += data
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)

    def keep_alive(self, waited: float) -> None:
        """Do nothing: a pipe has no keepalives."""

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """Return the output up to one of `ends`, and that end, as the real session does."""
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
            raise ShellEndedError(f"the node's shell ended with status {self.process.wait()}: {said}")
        self.received += data
        return data

    def before(self, request: int, act: Callable[[], object]) -> None:
        """Call `act` just before the far end gets a request; the first one is 1."""
        send, numbers = self.send, count(1)

        def sending(data: bytes) -> None:
            if next(numbers) == request:
                act()
            send(data)

        self.send = sending  # type: ignore[method-assign]

    def begin(self, lines: Sequence[str], *, changes: bool = False) -> Facts:
        """Send the first request, without a Conversation."""
        data = script.request(self._mark, lines, changes=changes)
        self.start(script.command(self._mark, len(data)), data)
        return self._reply()

    def again(self, lines: Sequence[str], *, changes: bool = False) -> Facts:
        """Send a further request."""
        data = script.request(self._mark, lines, changes=changes)
        self.send(f"again {len(data)}\n".encode() + data)
        return self._reply()

    def _reply(self) -> Facts:
        self.receive(f"{self._mark} begin\n".encode())
        body = self.receive(f"{self._mark} end\n".encode())[0]
        return parse_reply(body.decode("utf-8", "replace").replace(self._mark, "=="))

    def finish(self) -> tuple[int, bytes]:
        """Close its stdin, and return its exit status and the rest of its output."""
        assert self.process is not None
        rest, _ = self.process.communicate(timeout=SECONDS)
        said, self._buffer = self._buffer + rest, b""
        return self.process.returncode, said

    def close(self) -> None:
        """Ends it."""
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError, ValueError):
                self.process.communicate(timeout=2)
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@dataclass(frozen=True)
class Shell:
    """A shell that is `sh` on the far end. folder: the first one of its PATH."""

    folder: Path
    login: tuple[str, ...] = ("sh", "-c")

    @classmethod
    def named(cls, name: str, folder: Path, login: tuple[str, ...] = ("sh", "-c")) -> Shell:
        """Install one of SHELLS as the only `sh` of a PATH; busybox with all its other programs.

        It is copied, so that nothing a test writes here reaches the machine's own program through a link.
        """
        programs = folder / "bin"
        programs.mkdir(exist_ok=True)
        shutil.copy(SHELLS[name], programs / name)
        names = ["sh"]
        if name == "busybox":
            names += subprocess.run([SHELLS[name], "--list"], capture_output=True, text=True, check=True).stdout.split()
        for program in set(names) - {name}:
            (programs / program).symlink_to(name)
        return cls(programs, login)

    def stub(self, program: str, text: str) -> None:
        """Replace a program by a script, as a file of its own and never through a link."""
        path = self.folder / program
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    @contextlib.contextmanager
    def open(self, *, umask: int = 0o022, directory: Path | None = None, **environment: Any) -> Iterator[Process]:
        """Open a channel to it."""
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
        **environment: Any,
    ) -> Facts:
        """Send one request on a channel of its own, which must exit with status 0."""
        with self.open(umask=umask, directory=directory, **environment) as far:
            found = far.begin(lines, changes=changes)
            assert far.finish() == (0, b"")
        return found


SUDO = """
case $1 in
  -n) ask= ;;
  *) ask=1 prompt=$3; shift 2 ;;
esac
while [ "$1" != -- ]; do shift; done
shift
become() { printf 'Uid:\\t0\\t0\\n' >/proc/self/status; exec "$@"; }
[ -e /allowed ] || { echo "admin is not in the sudoers file." >&2; exit 1; }
[ -e /password ] || become "$@"
[ "$ask" ] || { echo "sudo: a password is required" >&2; exit 1; }
tries=0
while [ $tries -lt "$(cat /tries)" ]; do
  tries=$((tries + 1))
  printf %s "$prompt" >&2
  read -r said || break
  echo tried >>/attempts
  [ "$said" != "$(cat /password)" ] || become "$@"
  [ $tries = "$(cat /tries)" ] || echo "Sorry, try again." >&2
done
echo "sudo: $tries incorrect password attempts" >&2
exit 1
"""
MODPROBE = """
[ -e "/brings/$1" ] || { echo "modprobe: FATAL: Module $1 not found in directory /lib/modules/x" >&2; exit 1; }
echo "$1 16384 0 - Live 0x0" >>/proc/modules
. "/brings/$1"
"""
BELOW = """
for folder in usr dev; do mount --rbind "/$folder" "$1/$folder" || exit 99; done
exec chroot "$1" /usr/bin/sh -c "$0"
"""


class Machine:
    """A whole small node in a folder: real sh, grep, ls and sysctl below a chroot; its /proc is plain files."""

    def __init__(self, folder: Path, *, uid: int = 0, keys: dict[str, str] | None = None) -> None:
        self.root = folder
        for name in ("usr", "dev", "etc/sysctl.d", "run/systemd/system", "sys/module", "stub", "brings"):
            (folder / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib64"):
            if Path("/", name).exists():
                (folder / name).symlink_to(f"usr/{name}")
        (folder / "lib").mkdir()
        for path in Path("/usr/lib").glob("*-linux-*"):  # where the dynamic loader is looked for
            (folder / "lib" / path.name).symlink_to(f"../usr/lib/{path.name}")
        self.write("proc/self/status", f"Name:\tsh\nUid:\t{uid}\t{uid}\n")
        self.write("proc/modules", "")
        self.write("lib/modules/6.1.0/modules.builtin", "")
        self.write("lib/modules/6.1.0/modules.dep", "")
        self.write("etc/os-release", "ID=debian\n")
        for unit in ("systemd-modules-load", "systemd-sysctl"):
            self.write(f"lib/systemd/system/{unit}.service", "[Unit]\n")
        for key, value in {"kernel.osrelease": "6.1.0", **(keys or {})}.items():
            self.write(f"proc/sys/{key.replace('.', '/')}", f"{value}\n")
        self.write("tries", "3\n")
        self.write("allowed", "")
        self.program("sudo", SUDO)
        self.program("modprobe", MODPROBE)

    def write(self, path: str, text: str) -> None:
        """Write a file of the node."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def read(self, path: str) -> str:
        """Return the text of a file of the node; empty if there is none."""
        file = self.root / path
        return file.read_text() if file.exists() else ""

    def key(self, key: str) -> str:
        """Return a key's value."""
        return self.read(f"proc/sys/{key.replace('.', '/')}").strip()

    def module(self, name: str, brings: dict[str, str] | None = None) -> None:
        """Add a loadable module to its kernel, with the keys that it brings."""
        with (self.root / "lib/modules/6.1.0/modules.dep").open("a") as file:
            file.write(f"kernel/x/{name}.ko:\n")
        paths = {f"/proc/sys/{key.replace('.', '/')}": value for key, value in (brings or {}).items()}
        self.write(
            f"brings/{name}",
            "".join(f'mkdir -p "{Path(path).parent}"; echo "{value}" >"{path}"\n' for path, value in paths.items()),
        )

    def program(self, name: str, text: str) -> None:
        """Put a script before a program of the node."""
        self.write(f"stub/{name}", f"#!/bin/sh\n{text}")
        (self.root / "stub" / name).chmod(0o755)

    @contextlib.contextmanager
    def open(self) -> Iterator[Process]:
        """Open a channel to it."""
        variables = {"HOME": "/", "PATH": "/stub:/usr/sbin:/usr/bin"}
        login = ("/usr/bin/unshare", "-rm", "sh", "-c", f'set -- "{self.root}"\n{BELOW}')
        process = Process(login, variables, 0o022, None)
        try:
            yield process
        finally:
            process.close()


def no_namespaces() -> bool:
    """Return True if a Machine cannot run here."""
    return shutil.which("unshare") is None or bool(run(["unshare", "-rm", "true"], b"").returncode)
