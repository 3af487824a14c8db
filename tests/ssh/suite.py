"""The real `fab` on nodes of a fleet: an inventory in a folder of the test's own, a subprocess, and what came out."""

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
RIGHT = ("ok", "advisory", "skipped")  # of an item: nothing that would make a node fail
PROMPTS = (b"'sudo.password' config value: ", b"unlocking SSH keys: ")  # what fab asks, and then waits


def command_lines() -> str:
    """The command lines of all processes of this machine, as `ps` would show them to everybody."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(found)


def key_file(key: str) -> str:
    """Where a node has a key."""
    return "/proc/sys/" + key.replace(".", "/")


@dataclass(frozen=True)
class Completed:
    """One finished fab: its exit code and its two streams, as bytes and as text."""

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
        """stdout as the one JSON document that it must be."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    @property
    def statuses(self) -> dict[str, str]:
        return {node["host"]: node["status"] for node in self.data["nodes"]}

    def node(self, name: str) -> dict[str, Any]:
        """One node's result."""
        return next(node for node in self.data["nodes"] if node["host"] == name)

    def items(self, name: str, *, wrong: bool = False) -> dict[str, dict[str, Any]]:
        """A node's items by name; only those that are not right if wrong."""
        found = {item["name"]: item for item in self.node(name)["items"]}
        return {key: item for key, item in found.items() if not wrong or item["status"] not in RIGHT}

    def problem(self, name: str) -> str:
        """What a node's failure and its next step say."""
        node = self.node(name)
        return f"{node['problem']} → {node['next_step']}"


def _read(terminal: int, end: float) -> bytes:
    try:
        ready = select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]
        assert ready, "the command still runs on its terminal"
        return os.read(terminal, 65536)
    except OSError:  # what Linux says when the other side is closed
        return b""


@dataclass
class Suite:
    """An inventory in the making, and fab on it. `unused` are the fleet's nodes that no test has had yet."""

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
        """A line of the inventory: ansible_-variables without that prefix; known_hosts and key unless told."""
        host, port = address if isinstance(address, Address) else (address, self.fleet.port)
        args = f"-o UserKnownHostsFile={self.known_hosts}"
        if more := variables.pop("args", ""):
            args = f"{more} {args}"
        given = {"host": host, "port": port, "user": "root", "private_key_file": self.key, "ssh_common_args": args}
        pairs = {**given, **variables}
        self.lines[name] = " ".join(f"ansible_{key}={str(value)!r}" for key, value in pairs.items() if value != "")
        return host

    def fresh(self, name: str, **variables: object) -> str:
        """A line for a node that no other test has; its address."""
        return self.add(name, next(self.unused), **variables)

    def damaged(self, damages: Mapping[str, Damage]) -> dict[str, str]:
        """A node for each damage, right but for it, and from now on seen by somebody without sudo; their addresses."""
        hosts = {name: self.fresh(name) for name in damages}
        assert self.json("apply").code == 0
        for name, host in hosts.items():
            damages[name](self, host)
            self.add(name, host, user="nosudo")
        return hosts

    def command(self, verb: str, *words: str, on: str = "nodes", core: Sequence[str] = ()) -> list[str]:
        """The command line, its inventory written."""
        inventory = self.folder / "hosts.ini"
        inventory.write_text("[nodes]\n" + "".join(f"{name} {rest}\n" for name, rest in self.lines.items()))
        return [FAB, *core, "-H", on, verb, *words, "--inventory", str(inventory)]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """This process's, without what an admin's own machine would add to ssh or to the output."""
        left_out = ("SSH_AUTH_SOCK", "NO_COLOR", "FORCE_COLOR")
        mine = {name: value for name, value in os.environ.items() if name not in left_out}
        return {**mine, "HOME": str(self.folder), **more}

    def start(self, command: Sequence[str], **env: str) -> subprocess.Popen[bytes]:
        """A process group of its own, both streams in pipes."""
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
        """Runs fab to its end; stdout as fab gives it."""
        return self.run(self.command(verb, *words, on=on, core=core), env=env, seconds=seconds)

    def run(self, command: Sequence[str], *, env: Mapping[str, str] | None = None, seconds: float = 60) -> Completed:
        """Runs a command to its end."""
        process = self.start(command, **(env or {}))
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            process.kill()
            process.communicate()
        return Completed(process.returncode, out, err)

    def on_terminal(self, command: Sequence[str], *answers: str, **env: str) -> tuple[int, bytes]:
        """Runs a command on a terminal of its own; each answer is typed at one of fab's prompts."""
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
        """The same with --format json; the document has to be there."""
        said = self.fab(verb, *words, "--format", "json", **more)
        assert said.stdout, said.stderr
        return said

    def sudoers(self, host: str, line: str) -> None:
        """One more line for a node's sudo."""
        self.fleet.write(host, "/etc/sudoers", self.fleet.read(host, "/etc/sudoers") + f"{line}\n")

    def log_sudo(self, host: str) -> None:
        """Makes a node's sudo write down each time it is called, in a place that snapshot() does not see."""
        self.sudoers(host, f"Defaults logfile={SUDO_LOG}")

    def sudo_log(self, host: str) -> str:
        """What sudo wrote since log_sudo; line breaks within an entry folded."""
        path = self.fleet.path(host, SUDO_LOG)
        return path.read_text().replace("\n    ", " ") if path.exists() else ""

    def hold(self, host: str) -> Path:
        """Lets a node's modprobe make a file `under-way` and wait for a file `gate` beside it, whose path this is."""
        original = self.fleet.read(host, "/usr/sbin/modprobe")
        wait = "touch /root/under-way; while [ ! -e /root/gate ]; do sleep 0.05; done"
        self.fleet.write(host, "/usr/sbin/modprobe", original.replace("\n", f"\n{wait}\n", 1))
        return self.fleet.path(host, "/root") / "gate"

    def value(self, host: str, key: str) -> str:
        """A key's value on a node."""
        return self.fleet.read(host, key_file(key)).strip()

    def set_value(self, host: str, key: str, value: str) -> None:
        """Sets a key on a node by hand."""
        self.fleet.write(host, key_file(key), f"{value}\n")


Damage = Callable[[Suite, str], None]  # done to a node, given by its address


@contextlib.contextmanager
def serving(conversation: Callable[[socket.socket], None]) -> Iterator[Address]:
    """A listener that does this with each client in turn, and closes; an OSError of a client ends it."""
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
