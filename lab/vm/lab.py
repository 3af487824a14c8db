"""Start, reboot, copy and end the nodes of a lab together: real kernels behind loopback ports."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from lab.errors import LabError, LabUsageError
from lab.options import FIRST_PORT
from lab.vm import identity, programs, qemu, state
from lab.vm.flavours import find_flavour
from lab.vm.image import Reporter, discard, ensure_image
from lab.vm.node import Node
from lab.vm.state import NodeRecord

NODE_MB = 340  # taken by the QEMU of one node: the node's 256 MB, and some 80 MB of its own


def _free_mb() -> int:
    """Return the memory in MB that is free, or can be freed without hurting other processes."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))


class Lab:
    """Control the nodes of one state folder. As a context manager, start them on entry and leave nothing behind.

    directory: the state folder; the nodes it holds keep their flavour and port. release: the flavour of new nodes.
    count: nodes to have at least. port_base: the port of the first node. tied: the nodes die with this process, however
    it ends; then only the main thread may start them. Raises LabUsageError if there is no such release.
    """

    def __init__(
        self,
        directory: Path,
        release: str = "bookworm",
        count: int = 3,
        port_base: int = FIRST_PORT,
        *,
        tied: bool = True,
    ) -> None:
        find_flavour(release)
        self.directory = directory.absolute()
        self._port_base, self._tied = port_base, tied
        known = state.load(self.directory)
        fresh = [_new_record(number, port_base, release) for number in range(len(known) + 1, count + 1)]
        self.nodes = [Node(self.directory, record, tied=tied) for record in (*known, *fresh)]

    @classmethod
    def existing(cls, directory: Path) -> Lab:
        """Return the lab that is in a folder, with the nodes it has, running or not."""
        return cls(directory, count=0, tied=False)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self, report: Reporter = discard) -> dict[str, float]:
        """Boot all nodes that do not run, together, and return node name -> seconds for these.

        report: called before a step that takes long. Raises LabUsageError if programs or memory are missing, or a port
        is taken; LabError if a node does not come up, while the others run on.
        """
        programs.require()
        down = [node for node in self.nodes if not node.alive()]
        need, free = len(down) * NODE_MB, _free_mb()
        if need > free:
            raise LabUsageError(
                f"{len(down)} nodes take {need} MB of memory, {free} MB are free: start fewer, see --nodes"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        for release in dict.fromkeys(node.record.release for node in down):
            ensure_image(find_flavour(release), report)
        for node in down:
            node.spawn()
        return run_together(down, Node.wait_ready)

    def reset(self) -> dict[str, float]:
        """Remove all disks and boot all nodes anew, together; return node name -> seconds."""
        for node in self.nodes:
            node.discard()
        return self.start()

    def reboot(self, nodes: Sequence[Node] = ()) -> dict[str, float]:
        """Reboot nodes from inside, together, all of the lab by default; return node name -> seconds."""
        chosen = list(nodes) or self.nodes
        down = run_together(chosen, Node.go_down)
        for node in chosen:
            node.spawn()
        return {name: down[name] + seconds for name, seconds in run_together(chosen, Node.wait_ready).items()}

    def thaw(self, frozen: Node, count: int) -> list[Node]:
        """Start `count` copies of a frozen node, which go on where it stopped, and return them.

        Each has its own name, machine id and clock. Each costs about a tenth of a boot. The frozen node's files have to
        stay as long as the new nodes live.
        """
        last = max(int(node.name.rpartition("-")[2]) for node in self.nodes)
        records = [_new_record(last + each, self._port_base, frozen.record.release) for each in range(1, count + 1)]
        fresh = [Node(self.directory, record, tied=self._tied) for record in records]
        self.nodes += fresh
        for node in fresh:
            node.copy_from(frozen)
            node.spawn(frozen.folder / qemu.MEMORY)
        run_together(fresh, _make_unique)
        return fresh

    def drop(self, nodes: Sequence[Node]) -> None:
        """Kill nodes and remove their files and records."""
        for node in nodes:
            node.kill()
            shutil.rmtree(node.folder, ignore_errors=True)
            self.nodes.remove(node)
            state.forget(self.directory, node.name)

    def stop(self) -> None:
        """Kill the nodes and remove their disks, keys and logs. The cached images stay."""
        for node in self.nodes:
            node.kill()
        for name in (state.LAB_JSON, identity.KNOWN_HOSTS, identity.CLIENT_KEY, f"{identity.CLIENT_KEY}.pub"):
            (self.directory / name).unlink(missing_ok=True)
        shutil.rmtree(self.directory / state.NODES, ignore_errors=True)
        with contextlib.suppress(OSError):  # it holds other files, or was never made
            self.directory.rmdir()

    def node(self, name: str) -> Node:
        """Return the node with this name. Raises LabUsageError with all names if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes) or "none; `fab lab.up` makes some"
        raise LabUsageError(f"no node {name!r} in the lab; there are: {names}")


def run_together(nodes: Sequence[Node], action: Callable[[Node], float]) -> dict[str, float]:
    """Call `action` for all nodes at once, and return node name -> seconds. Raises the first error after all ended."""
    if not nodes:
        return {}
    with ThreadPoolExecutor(len(nodes)) as pool:
        seconds = pool.map(action, nodes)
        return dict(zip((node.name for node in nodes), seconds, strict=True))


def _new_record(number: int, port_base: int, release: str) -> NodeRecord:
    users = list(identity.USERS)
    return NodeRecord(f"lab-{number}", port_base + number - 1, users[(number - 1) % len(users)], release)


def _make_unique(node: Node) -> float:
    """Give a copied node a name, a machine id and the time; return the seconds until it answered."""
    seconds = node.wait_ready()
    machine = uuid.uuid4().hex
    own = f"echo {node.name} | tee /etc/hostname > /proc/sys/kernel/hostname; echo {machine} > /etc/machine-id"
    done = node.run(f"{own}; date -s @{time.time():.0f}")
    if done.returncode:
        raise LabError(f"{node.name}: cannot give the copied node its own name: {done.stderr}")
    return seconds
