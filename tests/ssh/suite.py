"""The real `fab` on nodes of a fleet: an inventory in the test's own folder, a subprocess, and its output."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from lab.fleet.fleet import Address, Fleet

ROOT = Path(__file__).parents[2]
FAB = str(Path(sys.executable).with_name("fab"))
MODULES = "/etc/modules-load.d/nodeprep-kubernetes.conf"
SYSCTL = "/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf"
FIX_SYSCTL = "/etc/sysctl.d/99-zz-nodeprep-zz-fix.conf"
FIX_MODULES = "/etc/modules-load.d/nodeprep-zz-fix.conf"
SUDO_LOG = "/var/log/sudo.log"
RIGHT = ("ok", "advisory", "skipped")  # statuses of an item that make no node fail
PROMPTS = (b"password for sudo on the nodes: ", b"passphrase of the SSH keys: ")  # in tasks/cli/prompts.py


def command_lines() -> str:
    """Return the command lines of all processes of this machine, as `ps` shows them to everybody."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(found)


def key_file(key: str) -> str:
    """Return the path of a key on a node."""
    return "/proc/sys/" + key.replace(".", "/")


@dataclass(frozen=True)
class Completed:
    """A finished fab: its exit code and its two streams, as bytes and as text."""

    code: int
    out: bytes
    err: bytes

    @property
    def stdout(self) -> str:
        return self.out.decode()

    @property
    def stderr(self) -> str:
        return self.err.decode()

    @property
    def text(self) -> str:
        """Both streams, for messages that may be on either."""
        return self.stdout + self.stderr

    @property
    def data(self) -> dict[str, Any]:
        """The JSON document on stdout; an error if there is anything else."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    @property
    def statuses(self) -> dict[str, str]:
        return {node["host"]: node["status"] for node in self.data["nodes"]}

    def node(self, name: str) -> dict[str, Any]:
        """Return one node's result."""
        return next(node for node in self.data["nodes"] if node["host"] == name)

    def items(self, name: str, *, wrong: bool = False) -> dict[str, dict[str, Any]]:
        """Return a node's items by name; if `wrong`, only those that are not right."""
        found = {item["name"]: item for item in self.node(name)["items"]}
        return {key: item for key, item in found.items() if not wrong or item["status"] not in RIGHT}

    def problem(self, name: str) -> str:
        """Return a node's problem and next step as one text."""
        node = self.node(name)
        return f"{node['problem']} → {node['next_step']}"


def _read(terminal: int, end: float) -> bytes:
    try:
        ready = select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]
        assert ready, "the command still runs on its terminal"
        return os.read(terminal, 65536)
    except OSError:  # EIO on Linux: the other side is closed
        return b""


@dataclass
class Suite:
    """An inventory in the making, and fab on it. unused: the fleet's nodes that no test has taken yet."""

    fleet: Fleet
    folder: Path
    unused: Iterator[str]
    lines: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Path:
        return self.fleet.client / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The test's own copy of the fleet's known_hosts."""
        path = self.folder / "known_hosts"
        if not path.exists():
            path.write_bytes((self.fleet.client / "known_hosts").read_bytes())
        return path

    def add(self, name: str, address: str | Address, **variables: object) -> str:
        """Add a line to the inventory, and return its address.

        variables: ansible_-variables without that prefix; user, key and known_hosts have defaults."""
        host, port = address if isinstance(address, Address) else (address, self.fleet.port)
        args = f"-o UserKnownHostsFile={self.known_hosts}"
        if more := variables.pop("args", ""):
            args = f"{more} {args}"
        given = {"host": host, "port": port, "user": "root", "private_key_file": self.key, "ssh_common_args": args}
        pairs = {**given, **variables}
        self.lines[name] = " ".join(f"ansible_{key}={str(value)!r}" for key, value in pairs.items() if value != "")
        return host

    def fresh(self, name: str, **variables: object) -> str:
        """Add a line for a node that no other test has, and return its address."""
        return self.add(name, next(self.unused), **variables)

    def damaged(self, damages: Mapping[str, Damage]) -> dict[str, str]:
        """Add an applied node for each damage, do the damage, and return their addresses.

        From then on the inventory logs in there as a user without sudo."""
        hosts = {name: self.fresh(name) for name in damages}
        assert self.json("apply").code == 0
        for name, host in hosts.items():
            damages[name](self, host)
            self.add(name, host, user="nosudo")
        return hosts

    def command(self, verb: str, *words: str, on: str = "nodes", core: Sequence[str] = ()) -> list[str]:
        """Write the inventory, and return fab's command line."""
        inventory = self.folder / "hosts.ini"
        inventory.write_text("[nodes]\n" + "".join(f"{name} {rest}\n" for name, rest in self.lines.items()))
        return [FAB, *core, "-H", on, verb, *words, "--inventory", str(inventory)]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return this process's environment without the variables that change ssh or the output."""
        left_out = ("SSH_AUTH_SOCK", "NO_COLOR", "FORCE_COLOR")
        mine = {name: value for name, value in os.environ.items() if name not in left_out}
        return {**mine, "HOME": str(self.folder), **more}

    def start(self, command: Sequence[str], **env: str) -> subprocess.Popen[bytes]:
        """Start a command in its own process group, both streams in pipes."""
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def fab(
        self,
        verb: str,
        *words: str,
        on: str = "nodes",
        core: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> Completed:
        """Run fab to its end."""
        return self.run(self.command(verb, *words, on=on, core=core), env=env, seconds=seconds)

    def run(self, command: Sequence[str], *, env: Mapping[str, str] | None = None, seconds: float = 60) -> Completed:
        """Run a command to its end."""
        process = self.start(command, **(env or {}))
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            process.kill()
            process.communicate()
        return Completed(process.returncode, out, err)

    def on_terminal(self, command: Sequence[str], *answers: str, **env: str) -> tuple[int, bytes]:
        """Run a command on its own terminal, and type an answer at each prompt; return exit code and output."""
        master, slave = pty.openpty()
        more = self.environment({"TERM": "xterm-256color", **env})
        process = subprocess.Popen(
            command, cwd=ROOT, env=more, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        seen, waiting, end = b"", list(answers), time.monotonic() + 60
        try:
            while data := _read(master, end):
                seen += data
                if waiting and seen.endswith(PROMPTS):
                    os.write(master, f"{waiting.pop(0)}\n".encode())
            return process.wait(10), seen
        finally:
            os.close(master)
            process.kill()
            process.wait()

    def json(self, verb: str, *words: str, **more: Any) -> Completed:
        """Run fab with --format json; a document on stdout is asserted."""
        done = self.fab(verb, *words, "--format", "json", **more)
        assert done.stdout, done.stderr
        return done

    def sudoers(self, host: str, line: str) -> None:
        """Add a line to a node's sudoers."""
        self.fleet.write(host, "/etc/sudoers", self.fleet.read(host, "/etc/sudoers") + f"{line}\n")

    def log_sudo(self, host: str) -> None:
        """Let a node's sudo log each call, in a place that snapshot() does not read."""
        self.sudoers(host, f"Defaults logfile={SUDO_LOG}")

    def sudo_log(self, host: str) -> str:
        """Return sudo's log since log_sudo(), one line for each entry."""
        path = self.fleet.path(host, SUDO_LOG)
        return path.read_text().replace("\n    ", " ") if path.exists() else ""

    def hold(self, host: str) -> Path:
        """Let a node's modprobe make a file `under-way` and wait for a file `gate` beside it, and return its path."""
        original = self.fleet.read(host, "/usr/sbin/modprobe")
        wait = "touch /root/under-way; while [ ! -e /root/gate ]; do sleep 0.05; done"
        self.fleet.write(host, "/usr/sbin/modprobe", original.replace("\n", f"\n{wait}\n", 1))
        return self.fleet.path(host, "/root") / "gate"

    def value(self, host: str, key: str) -> str:
        """Return a key's value on a node."""
        return self.fleet.read(host, key_file(key)).strip()

    def set_value(self, host: str, key: str, value: str) -> None:
        """Set a key on a node by hand."""
        self.fleet.write(host, key_file(key), f"{value}\n")


Damage = Callable[[Suite, str], None]  # gets a node's address


@contextlib.contextmanager
def serving(conversation: Callable[[socket.socket], None]) -> Iterator[Address]:
    """Listen, and hand each client in turn to `conversation`, then close it; an OSError of a client ends it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as client:
                        conversation(client)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield Address(*listener.getsockname())
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)


@contextlib.contextmanager
def deaf(host: str) -> Iterator[Address]:
    """Yield an address on which a connection is neither accepted nor refused, as on a machine without power.

    It is a listener with a full queue."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((host, 0))
        listener.listen(0)
        address = Address(*listener.getsockname())
        while True:
            client = stack.enter_context(socket.socket())
            client.settimeout(0.3)
            try:
                client.connect(address)
            except TimeoutError:
                break
        yield address
