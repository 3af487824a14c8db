"""A lab: some nodes of real kernels on loopback ports, started, rebooted, copied and ended together."""

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
from lab.vm.flavours import flavour_named
from lab.vm.image import Reporter, discard, ensure_image
from lab.vm.node import Node
from lab.vm.state import NodeRecord

NODE_MB = 340  # what QEMU takes for one: its 256 MB and 80 of its own


def _free_mb() -> int:
    """Memory that may be had without taking it from others, in MB."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))


class Lab:
    """Nodes in one state folder. As a context manager it is started on entry and leaves nothing behind.

    release: the flavour of nodes that are new; nodes the folder has already keep theirs. tied: the nodes die with
    this process, however it ends; then only the main thread may start them.
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
        flavour_named(release)
        self.directory = directory.absolute()
        self._port_base, self._tied = port_base, tied
        known = state.load(self.directory)
        fresh = [_new_record(number, port_base, release) for number in range(len(known) + 1, count + 1)]
        self.nodes = [Node(self.directory, record, tied=tied) for record in (*known, *fresh)]

    @classmethod
    def existing(cls, directory: Path) -> Lab:
        """The lab that is in a folder, with the nodes it has, running or not."""
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
        """Boots all nodes that do not run, together; returns the seconds of each of these.

        report: told what takes long. Raises LabUsageError if there is not room for them all, LabError if one does not
        come up; the others run then.
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
            ensure_image(flavour_named(release), report)
        for node in down:
            node.spawn()
        return together(down, Node.wait_ready)

    def reset(self) -> dict[str, float]:
        """Throws all disks away and boots all nodes fresh, together; returns the seconds of each."""
        for node in self.nodes:
            node.discard()
        return self.start()

    def reboot(self, nodes: Sequence[Node] = ()) -> dict[str, float]:
        """Reboots nodes together, all unless some are named; returns the seconds of each."""
        chosen = list(nodes) or self.nodes
        down = together(chosen, Node.go_down)
        for node in chosen:
            node.spawn()
        return {name: down[name] + seconds for name, seconds in together(chosen, Node.wait_ready).items()}

    def thaw(self, frozen: Node, count: int) -> list[Node]:
        """New nodes that go on where a frozen one stopped, as machines of their own: with their own name, id and time.

        Costs about a tenth of a boot. The frozen node's files have to stay as long as these live.
        """
        last = max(int(node.name.rpartition("-")[2]) for node in self.nodes)
        records = [_new_record(last + each, self._port_base, frozen.record.release) for each in range(1, count + 1)]
        fresh = [Node(self.directory, record, tied=self._tied) for record in records]
        self.nodes += fresh
        for node in fresh:
            node.become(frozen)
            node.spawn(frozen.folder / qemu.MEMORY)
        together(fresh, _on_its_own)
        return fresh

    def drop(self, nodes: Sequence[Node]) -> None:
        """Kills nodes and forgets them; nothing of them is left."""
        for node in nodes:
            node.kill()
            shutil.rmtree(node.folder, ignore_errors=True)
            self.nodes.remove(node)
            state.forget(self.directory, node.name)

    def stop(self) -> None:
        """Kills the nodes and removes their disks, keys and logs. The image cache stays."""
        for node in self.nodes:
            node.kill()
        for name in (state.LAB_JSON, identity.KNOWN_HOSTS, identity.CLIENT_KEY, f"{identity.CLIENT_KEY}.pub"):
            (self.directory / name).unlink(missing_ok=True)
        shutil.rmtree(self.directory / state.NODES, ignore_errors=True)
        with contextlib.suppress(OSError):  # not ours alone, or never made
            self.directory.rmdir()

    def node(self, name: str) -> Node:
        """The node of that name. Raises LabUsageError with the names there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes) or "none; `fab lab.up` makes some"
        raise LabUsageError(f"no node {name!r} in the lab; there are: {names}")


def together(nodes: Sequence[Node], action: Callable[[Node], float]) -> dict[str, float]:
    """Does one thing on all nodes at once; returns node name -> seconds. Raises the first error after all ended."""
    if not nodes:
        return {}
    with ThreadPoolExecutor(len(nodes)) as pool:
        seconds = pool.map(action, nodes)
        return dict(zip((node.name for node in nodes), seconds, strict=True))


def _new_record(number: int, port_base: int, release: str) -> NodeRecord:
    users = list(identity.USERS)
    return NodeRecord(f"lab-{number}", port_base + number - 1, users[(number - 1) % len(users)], release)


def _on_its_own(node: Node) -> float:
    """Gives a copy of a node what is unique to a machine, and the time; returns the seconds until it answered."""
    seconds = node.wait_ready()
    machine = uuid.uuid4().hex
    own = f"echo {node.name} | tee /etc/hostname > /proc/sys/kernel/hostname; echo {machine} > /etc/machine-id"
    done = node.run(f"{own}; date -s @{time.time():.0f}")
    if done.returncode:
        raise LabError(f"{node.name}: a copy that cannot be told from others: {done.stderr}")
    return seconds
