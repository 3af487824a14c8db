"""Start, reach, reboot, freeze and kill one node of the QEMU lab."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lab import keys, openssh
from lab.cache import cache_folder
from lab.errors import LabError, LabUsageError
from lab.vm import identity, programs, qemu, state
from lab.vm.flavours import find_flavour
from lab.vm.image import Image, ensure_image
from lab.vm.process import Process
from lab.vm.qmp import Qmp
from lab.vm.state import NodeRecord

BOOT_SECONDS = 240.0
SHUTDOWN_SECONDS = 90.0
_BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


class Node:
    """Control one node of a lab. Lab makes the nodes.

    record: the node's entry in lab.json. arguments: added to its kernel's command line at the next boot; not in
    lab.json.
    """

    def __init__(self, lab: Path, record: NodeRecord, *, tied: bool = False) -> None:
        self.record = record
        self.folder = lab / state.NODES / record.name
        self._lab = lab
        self._tied = tied
        self.arguments = ""

    @property
    def name(self) -> str:
        """Return its name: lab-1, lab-2, ..."""
        return self.record.name

    @property
    def port(self) -> int:
        """Return the port on 127.0.0.1 that leads to its sshd."""
        return self.record.port

    @property
    def console(self) -> Path:
        """Return the path of the log of its serial console."""
        return self.folder / qemu.CONSOLE

    def alive(self) -> bool:
        """Return True while its QEMU runs."""
        return self.record.process is not None and self.record.process.alive()

    def start(self) -> float:
        """Boot it from its disk and wait for its sshd; return the seconds that took. A running node is left alone.

        Raises as spawn() and wait_ready() do.
        """
        self.spawn()
        return self.wait_ready()

    def spawn(self, memory: Path | None = None) -> None:
        """Start its QEMU without waiting for the boot. If it has no disk, make one from the image.

        memory: the file of a frozen node's memory, to go on from there instead of booting. A tied node dies with the
        *thread* that spawned it, so only the main thread may spawn tied nodes. Raises LabUsageError if its port is
        taken.
        """
        if self.alive():
            return
        _require_free(self.port)
        image = ensure_image(find_flavour(self.record.release))
        self._prepare(image)
        accel = qemu.accelerator(image, cache_folder())
        command = qemu.command_line(name=self.name, port=self.port, image=image, accel=accel, arguments=self.arguments)
        tie = ["setpriv", "--pdeathsig", "KILL"] if self._tied else []
        with (self.folder / qemu.LOG).open("ab") as log, image.in_use() as held, _open_if_given(memory) as saved:
            child = subprocess.Popen(  # Process.wait() reaps it
                [*tie, *command, *(word for number in saved for word in ("-incoming", f"fd:{number}"))],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[held, *saved],
            )
        self.record = replace(self.record, process=Process.of(child.pid))
        child.returncode = 0  # keeps Popen from warning that it still runs: from here on Process follows it
        state.remember(self._lab, self.record)

    def wait_ready(self, deadline: float = BOOT_SECONDS) -> float:
        """Wait until its sshd answers, and return the seconds that took.

        Raises LabError with the last lines of the console if QEMU ends, the kernel panics, or `deadline` seconds pass.
        """
        begin = time.monotonic()
        while not _greets(self.port):
            waited = time.monotonic() - begin
            if not self.alive():
                raise LabError(f"{self.name}: QEMU ended.\n{programs.tail(self.folder / qemu.LOG)}\n{self._console()}")
            if "end Kernel panic" in programs.tail(self.console, 3):
                raise LabError(f"{self.name}: its kernel panicked.\n{self._console()}")
            if waited > deadline:
                raise LabError(f"{self.name}: no ssh after {waited:.0f} s.\n{self._console()}")
            time.sleep(0.1)
        return time.monotonic() - begin

    def run(
        self, command: str, *, user: str = "root", timeout: float = 60.0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the node through the OpenSSH client, and return its status, stdout and stderr.

        stdin: the text that the command reads. Raises LabError if it takes more than `timeout` seconds.
        """
        words = [*self.ssh_command(user), command]
        try:
            return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name}: {command!r} took more than {timeout:.0f} s") from error

    def ssh_command(self, user: str) -> list[str]:
        """Return the ssh command line of a login as this user. It checks the host key, and reads no ~/.ssh."""
        options = {
            **openssh.client_options(f'"{self._lab / identity.KNOWN_HOSTS}"'),
            "ConnectTimeout": "20",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        key = str(self._lab / identity.CLIENT_KEY)
        return ["ssh", "-F", "/dev/null", "-i", key, *words, "-p", str(self.port), f"{user}@127.0.0.1"]

    def boot_id(self) -> str:
        """Return the kernel's random name of this boot. Raises LabError if the login fails."""
        done = self.run(_BOOT_ID)
        if done.returncode:
            raise LabError(f"{self.name}: cannot log in: {done.stderr.strip()}\n{self._console()}")
        return done.stdout.strip()

    def reboot(self) -> float:
        """Reboot it from inside, as an admin would, and return the seconds until its sshd answers again.

        Raises LabError if it answers without a reboot.
        """
        begin = time.monotonic()
        before = self.boot_id()
        self.go_down()
        self.start()
        if self.boot_id() == before:
            raise LabError(f"{self.name}: answers, but did not reboot.\n{self._console()}")
        return time.monotonic() - begin

    def go_down(self) -> float:
        """Run `reboot` on it, have QEMU end where it would reset, and return the seconds that took.

        If it still runs after 90 seconds, kill it. start() goes on with a fresh QEMU: after a reset inside the same
        QEMU, software emulation ran the next kernel some hundred times slower (QEMU 7.2, clearing memory that had held
        code).
        """
        begin = time.monotonic()
        with Qmp(self.folder / qemu.QMP) as qmp:
            qmp.command("set-action", reboot="shutdown")
        with contextlib.suppress(LabError):
            self.run("reboot", timeout=SHUTDOWN_SECONDS)
        if self.record.process is not None and not self.record.process.wait(SHUTDOWN_SECONDS):
            self.kill()
        return time.monotonic() - begin

    def kill(self) -> None:
        """Cut its power: send SIGKILL to its QEMU. Its disk stays."""
        if self.record.process is not None:
            self.record.process.kill()

    def reset(self) -> float:
        """Remove its disk and boot it anew from the image; return the seconds that took."""
        self.discard()
        return self.start()

    def freeze(self) -> None:
        """Write its memory beside its disk, and end it. Lab.thaw() makes nodes that go on from there.

        Raises LabError if the memory cannot be written.
        """
        with Qmp(self.folder / qemu.QMP) as qmp:
            qmp.command("migrate", uri=f"exec:cat > {qemu.MEMORY}")
            while (status := qmp.command("query-migrate")["status"]) not in ("completed", "failed"):
                time.sleep(0.05)
        self.kill()
        if status == "failed":
            raise LabError(f"{self.name}: its memory was not written.\n{programs.tail(self.folder / qemu.LOG)}")

    def discard(self) -> None:
        """Kill it and remove its disk."""
        self.kill()
        (self.folder / qemu.DISK).unlink(missing_ok=True)

    def _prepare(self, image: Image) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        client = keys.ensure_key(self._lab / identity.CLIENT_KEY, "nodeprep-lab")
        host_key = self._host_key()
        archive = identity.node_archive(self.name, client, host_key)
        (self.folder / qemu.INITRD).write_bytes(image.initrd.read_bytes() + archive)
        if not (self.folder / qemu.DISK).exists():
            self._create_disk(image.disk, "raw")

    def copy_from(self, other: Node) -> None:
        """Make its disk on top of a frozen node's disk, which stays as it is, and copy that node's host key."""
        self.folder.mkdir(parents=True)
        for name in (identity.HOST_KEY, f"{identity.HOST_KEY}.pub"):
            shutil.copy(other.folder / name, self.folder / name)
        self._trust((self.folder / f"{identity.HOST_KEY}.pub").read_text())
        self._create_disk(other.folder / qemu.DISK, "qcow2")

    def _create_disk(self, base: Path, kind: str) -> None:
        disk = str(self.folder / qemu.DISK)
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", kind, disk]
        programs.run(command, self.folder / qemu.LOG)

    def _host_key(self) -> Path:
        path = self.folder / identity.HOST_KEY
        if not path.exists():
            self._trust(keys.ensure_key(path, self.name))
        return path

    def _trust(self, public: str) -> None:
        with (self._lab / identity.KNOWN_HOSTS).open("a") as known_hosts:
            known_hosts.write(openssh.known_hosts_line("127.0.0.1", self.port, public))

    def _console(self) -> str:
        return f"The last lines of {self.console}:\n{programs.tail(self.console)}"


@contextlib.contextmanager
def _open_if_given(path: Path | None) -> Iterator[list[int]]:
    """Yield a list with the descriptor of the file, an empty one without a path."""
    if path is None:
        yield []
        return
    with path.open("rb") as handle:
        yield [handle.fileno()]


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LabUsageError(f"port {port} on 127.0.0.1 is taken: {error.strerror}; choose --port-base") from error


def _greets(port: int) -> bool:
    """Return True if sshd greets. QEMU accepts connections long before the node listens, so only the banner counts."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            return connection.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False
