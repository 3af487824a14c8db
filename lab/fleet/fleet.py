"""Run a light fleet: many SSH nodes on this machine, each with a real sshd and a state of its own.

It needs root. A node is a chroot over this machine's own root (see fleetd.c): the real shells, coreutils, sysctl and
sudo, but its own /etc, /run, /proc/sys and /proc/modules. These are plain files, so they take any value, and the stub
modprobe only adds keys to them. Test on the QEMU nodes whatever a kernel would refuse or change.

    with Fleet(3, nodes=[NodeSpec(banner="Go away")]) as fleet:
        subprocess.run(["ssh", "-F", fleet.client / "ssh_config", fleet.hosts[0], "sysctl", "net.ipv4.ip_forward"])
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from lab import keys, openssh, proc
from lab.fleet import image, tools, wire
from lab.fleet.image import PASSWORD, USERS, NodeSpec
from lab.fleet.kernel import RELEASE
from lab.fleet.tools import FleetError

__all__ = ["PASSWORD", "RELEASE", "USERS", "Address", "Fleet", "FleetError", "NodeSpec"]

_MAX_NODES = 5120  # as in fleetd.c
_MAX_LINKS = 40  # as in Linux
# Left behind by a login, sudo or a shell itself; snapshot() does not look there.
TRACES = (
    "run",  # files of sshd and sudo, sudo's timestamps among them
    "var/lib/sudo",  # the users who have seen sudo's lecture
    "var/log",  # lastlog, wtmp, btmp
    "home/admin/.sudo_as_admin_successful",  # made by Debian's sudo for members of the groups admin and sudo
    "home/fishy/.config/fish",  # fish makes this and the next whenever it starts
    "home/fishy/.local/share/fish",
)


class Address(NamedTuple):
    """Name an address that a TCP client can connect to."""

    host: str
    port: int


class Fleet:
    """Run `count` nodes for the duration of a with block. Several fleets may run at the same time.

    directory: where the fleet makes its private state folder, on a file system that overlayfs can write to; /dev/shm by
    default. port: the port of every node, a free one by default. rtt_ms: a round trip in milliseconds; the nodes are
    then behind a wire with this delay, and only clients in the network namespace `netns` reach them. nodes: how the
    first nodes differ; the others are plain. Raises ValueError for an impossible count, and on entry FleetError if the
    nodes do not start.

    A Fleet is used once, and entered and left in one thread: the nodes end with the thread that started them. In the
    block there are hosts: the nodes' addresses; client: a folder with id_ed25519, id_ed25519.pub, known_hosts and
    ssh_config (user root); state: the state folder; server: the pid of process 1 of the nodes' PID namespace.
    """

    def __init__(
        self,
        count: int,
        *,
        directory: Path | None = None,
        port: int | None = None,
        rtt_ms: float = 0,
        nodes: Sequence[NodeSpec] = (),
    ) -> None:
        if not max(1, len(nodes)) <= count <= _MAX_NODES:
            raise ValueError(f"{count} nodes, of which {len(nodes)} are described: expected 1 to {_MAX_NODES}")
        self.port = port or 0
        self.hosts: list[str] = []
        self._specs = [*nodes, *[NodeSpec()] * (count - len(nodes))]
        self._rtt_ms, self._directory = rtt_ms, directory
        self._exit = contextlib.ExitStack()
        self._keys: dict[str, str] = {}
        self._silent: Address | None = None

    # ---- start and end ----

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def _start(self, stack: contextlib.ExitStack) -> None:
        _check_machine()
        self._slot = _take_slot(stack)
        self._wire = wire.Wire(self._slot) if self._rtt_ms else None
        self._network = wire.NETWORK if self._wire else f"127.{self._slot}"
        self.hosts = [f"{self._network}.{i // 250}.{i % 250 + 1}" for i in range(len(self._specs))]
        self.state = _state_folder(stack, self._directory)
        self.client = self.state / "client"
        self._build()
        if self._wire:
            stack.enter_context(self._wire.up(self._rtt_ms))
        self._launch(stack)
        self._write_client()

    def _build(self) -> None:
        self.client.mkdir(mode=0o700)
        image.build_common(self.state / "common", keys.new_key(self.client / "id_ed25519"))
        for number, (host, spec) in enumerate(zip(self.hosts, self._specs, strict=True), 1):
            for folder in ("work", "root"):
                (self.state / "hosts" / host / folder).mkdir(parents=True)
            self._keys[host] = image.build_node(self.root(host), f"node-{number}", spec)
        lines = [f"{host} {spec.flags}\n" for host, spec in zip(self.hosts, self._specs, strict=True)]
        (self.state / "nodes").write_text("".join(lines), encoding="ascii")
        (self.state / "proc").mkdir()

    def _launch(self, stack: contextlib.ExitStack) -> None:
        command = [str(tools.program("fleetd")), str(self.state), str(self.port)]
        if self._wire:
            command = ["nsenter", f"--net=/run/netns/{self._wire.nodes}", *command]
        # opened to append: the writers share the open file, so a seek() here moves their place too
        self._log = stack.enter_context(tempfile.TemporaryFile("a+b"))  # noqa: SIM115
        process, (port,) = tools.start(command, self._log)
        stack.callback(tools.end, process)
        self.port = int(port)
        self.server = proc.children(process.pid)[0]
        self._await_listening([self.root(host) / "run/sshd.pid" for host, _ in self._nodes_with_own_sshd()])

    def _await_listening(self, pid_files: Sequence[Path]) -> None:
        def settled() -> bool:
            return all(path.exists() for path in pid_files) or len(proc.children(self.server)) < len(pid_files)

        tools.wait_until(settled, "a node's own sshd does not listen")
        if len(proc.children(self.server)) < len(pid_files):
            raise FleetError(f"a node's own sshd has ended: {self.log().strip()}")

    def _nodes_with_own_sshd(self) -> list[tuple[str, NodeSpec]]:
        return [pair for pair in zip(self.hosts, self._specs, strict=True) if pair[1].max_startups]

    def _write_client(self) -> None:
        lines = [openssh.known_hosts_line(host, self.port, key) for host, key in self._keys.items()]
        image.write(self.client / "known_hosts", "".join(lines))
        config = {
            "User": "root",
            "Port": self.port,
            "IdentityFile": self.client / "id_ed25519",
            **openssh.client_options(str(self.client / "known_hosts")),
            "LogLevel": "ERROR",
        }
        image.write(
            self.client / "ssh_config", "Host *\n" + "".join(f"    {key} {value}\n" for key, value in config.items())
        )

    # ---- addresses ----

    @property
    def netns(self) -> str | None:
        """Return the network namespace that clients have to run in (`ip netns exec`); None without a wire."""
        return self._wire.clients if self._wire else None

    @property
    def wire_report(self) -> str:
        """Return, after the end of a fleet with rtt_ms, the wire's counts as JSON: packets, dropped, latest_ms."""
        return self._wire.report if self._wire else ""

    def dead_address(self) -> Address:
        """Return an address with the fleet's port where nothing listens: a connection is refused."""
        return Address(f"{self._network}.255.254", self.port)

    def silent_address(self) -> Address:
        """Return an address that takes connections and sends nothing, until the fleet ends."""
        if not self._silent:
            listener = wire.open_socket(self._wire.nodes) if self._wire else socket.socket()
            self._exit.enter_context(listener)
            listener.bind((f"{self._network}.255.1", 0))
            listener.listen(1024)  # nothing accepts them: the kernel alone completes the handshake
            self._silent = Address(*listener.getsockname())
        return self._silent

    def silence(self, host: str, *, silent: bool = True) -> None:
        """Make a node take connections and send nothing, or answer again. It does not work with max_startups."""
        mark = self.path(host, "/run") / "silent"
        mark.touch() if silent else mark.unlink()

    # ---- a node's files ----

    def root(self, host: str) -> Path:
        """Return the folder of the node's own layer. To change a file, use write(): the node is mounted over it."""
        return self.state / "hosts" / host / "upper"

    def path(self, host: str, path: str) -> Path:
        """Return a path of a node's root as this process can open it, with links followed inside of that root.

        Raises KeyError if the host is not a node of this fleet.
        """
        top = Path(f"/proc/{self.server}/root{self.state}/hosts/{host}/root")
        if not top.is_dir():
            raise KeyError(f"{host} is not a node of this fleet")
        return _resolve_inside(top, path)

    def read(self, host: str, path: str) -> str:
        """Return the text of a file on a node."""
        return self.path(host, path).read_text(encoding="utf-8")

    def write(self, host: str, path: str, text: str) -> None:
        """Write a file on a node, as the node's root would; missing folders are made."""
        target = self.path(host, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def snapshot(self, host: str) -> dict[str, tuple[int, str]]:
        """Return the node's own layer as path -> (st_mode, content), to compare before and after.

        The content is a file's text or a link's target. A removed file of a lower layer is a character device, which is
        overlayfs's mark. TRACES are left out, and so are folders that are only there because something in TRACES is.
        """
        root = self.root(host)
        return {
            f"/{path.relative_to(root)}": _state_of(path)
            for path in sorted(root.rglob("*"))
            if not self._is_trace(path.relative_to(root), path)
        }

    def _is_trace(self, relative: Path, path: Path) -> bool:
        if any(relative.is_relative_to(trace) for trace in TRACES):
            return True
        lower = [layer / relative for layer in (self.state / "common", Path("/"))]
        passed_through = any(Path(trace).is_relative_to(relative) for trace in TRACES)
        return passed_through and path.is_dir() and any(each.is_dir() for each in lower)

    # ---- host keys ----

    def host_key(self, host: str) -> str:
        """Return a node's Ed25519 host key, `TYPE BASE64`, as it stands in the client's known_hosts."""
        return self._keys[host]

    def replace_host_key(self, host: str) -> str:
        """Give a node another Ed25519 host key, as a new installation would, and return it, `TYPE BASE64`.

        known_hosts stays as it is. A node with max_startups holds its keys in memory and goes on with the old one.
        """
        return keys.new_key(self.path(host, "/etc/ssh/ssh_host_ed25519_key"))

    # ---- counts ----

    def connections(self, host: str | None = None) -> int:
        """Return the number of connections that one node or all have accepted; those with max_startups count none."""
        counters = struct.unpack_from(f"{len(self.hosts)}Q", (self.state / "connections").read_bytes())
        return sum(counters) if host is None else counters[self.hosts.index(host)]

    def cpu(self) -> float:
        """Return the CPU seconds of all processes that have ended on the nodes; call settle() first."""
        fields = proc.stat_fields(self.server)
        if fields is None:
            raise FleetError("the fleet has ended")
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def processes(self) -> list[int]:
        """Return the pids of all processes on the nodes but the listening sshd of nodes with max_startups."""
        listening = proc.children(self.server)[: len(self._nodes_with_own_sshd())]
        return [pid for pid in proc.descendants(self.server) if pid not in listening]

    def settle(self, seconds: float = 10) -> None:
        """Wait until no process runs on the nodes. Raises FleetError if one still does after so many seconds."""
        tools.wait_until(lambda: not self.processes(), "processes still run on the nodes", seconds)

    def log(self) -> str:
        """Return the log of all nodes' sshd."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")


# ---- the machine ----


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise FleetError("the fleet needs root: it mounts file systems and makes namespaces")
    if not Path("/usr/sbin/sshd").exists():
        raise FleetError("sshd is not installed (Debian: apt install openssh-server)")
    for folder in ("/etc", "/usr"):
        # overlayfs shows nothing of a file system that is mounted in its lower layer
        if Path(folder).stat().st_dev != Path("/").stat().st_dev:
            raise FleetError(f"{folder} is a file system of its own, so a node over / would lack it")


def _take_slot(stack: contextlib.ExitStack) -> int:
    """Return a number that no other fleet has. Its lock is an abstract socket: a killed run leaves none behind."""
    lock = stack.enter_context(socket.socket(socket.AF_UNIX))
    for slot in range(1, 255):
        with contextlib.suppress(OSError):
            lock.bind(f"\0nodeprep-fleet-{slot}")
            return slot
    raise FleetError("254 fleets are running already")


def _state_folder(stack: contextlib.ExitStack, directory: Path | None) -> Path:
    shm = Path("/dev/shm")
    parent = directory or (shm if shm.is_dir() else None)
    state = Path(tempfile.mkdtemp(prefix="nodeprep-fleet-", dir=parent))
    stack.callback(shutil.rmtree, state, ignore_errors=True)
    return state


# ---- a node's files, from outside ----


def _resolve_inside(top: Path, path: str) -> Path:
    """Return a path below `top` with every link followed as the node sees it. Raises OSError after 40 links.

    Without this, a link to /run on a node would lead to this machine's /run.
    """
    todo, links = list(Path(path).parts[::-1]), 0
    done: list[str] = []
    while todo:
        part = todo.pop()
        here = top.joinpath(*done, part)
        if part in ("/", ".."):
            done = [] if part == "/" else done[:-1]
        elif here.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                raise OSError(f"too many links: {path}")
            todo += here.readlink().parts[::-1]
        else:
            done.append(part)
    return top.joinpath(*done)


def _state_of(path: Path) -> tuple[int, str]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return mode, str(path.readlink())
    return mode, path.read_text(encoding="utf-8", errors="surrogateescape") if stat.S_ISREG(mode) else ""
