"""Put nodes at a distance: a network namespace for clients, one for nodes, and a wire with a delay between them."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from lab import netns
from lab.fleet import tools

NETWORK = "198.18"  # reserved for benchmarks by RFC 2544
_CLIENT = "198.19.255.1"


class Wire:
    """Name both namespaces. report: after the end the wire's counts as JSON: packets, dropped, latest_ms."""

    def __init__(self, slot: int) -> None:
        self.clients, self.nodes = f"nodeprep-{slot}-clients", f"nodeprep-{slot}-nodes"
        self.report = ""

    @contextlib.contextmanager
    def up(self, rtt_ms: float) -> Iterator[None]:
        """Make both namespaces and the wire until the end of the block. rtt_ms: the round trip in milliseconds.

        Raises FleetError if they cannot be made.
        """
        program = str(tools.program("wire"))
        with tempfile.TemporaryFile("a+b") as log, contextlib.ExitStack() as stack:
            for name in (self.clients, self.nodes):
                _remove(name)  # left by a killed run: the slot is ours, and so are its names
                stack.callback(_remove, name)
                tools.run("ip", "netns", "add", name)
            process, _ = tools.start([program, str(int(rtt_ms * 500)), self.clients, self.nodes], log)
            stack.callback(self._end, process, log)
            self._connect()
            yield

    def _end(self, process: tools.Process, log: tools.Log) -> None:
        tools.end(process)
        log.seek(0)
        self.report = log.read().decode().rstrip().rpartition("\n")[2]  # the lines before it are warnings

    def _connect(self) -> None:
        clients, nodes = f"-n {self.clients}", f"-n {self.nodes}"
        if Path("/proc/sys/net/ipv6").exists():
            # An IPv6 address asks for routers at once, and that packet is dropped while the other end is still down.
            # In one command with "up", addrgenmode comes too late (seen in the wire's report).
            for side in (clients, nodes):
                tools.run("ip", *f"{side} link set wire addrgenmode none".split())
        for command in (
            f"{clients} addr add {_CLIENT}/32 dev wire",
            f"{clients} link set lo up",
            f"{clients} link set wire txqueuelen 10000 up",
            f"{clients} route add {NETWORK}.0.0/16 dev wire",
            f"{nodes} link set lo up",
            f"{nodes} link set wire txqueuelen 10000 up",
            f"{nodes} route add local {NETWORK}.0.0/16 dev lo",
            f"{nodes} route add {_CLIENT} dev wire src {NETWORK}.0.1",
        ):
            tools.run("ip", *command.split())


def _remove(name: str) -> None:
    if Path("/run/netns", name).exists():
        tools.run("ip", "netns", "del", name)


def open_socket(namespace: str) -> socket.socket:
    """Return a TCP socket of another network namespace. Raises FleetError if it cannot be made.

    A namespace belongs to a thread, so a thread of its own goes there, and ends there.
    """
    made: list[socket.socket] = []
    thread = threading.Thread(target=_make_socket, args=(namespace, made))
    thread.start()
    thread.join()
    if not made:
        raise tools.FleetError(f"cannot open a socket in the network namespace {namespace}")
    return made[0]


def _make_socket(namespace: str, made: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):
        netns.enter(namespace)
        made.append(socket.socket())
