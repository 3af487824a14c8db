"""Define the `lab.*` tasks of fab: real nodes to try nodeprep on, and to throw away."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from invoke import Context, Exit, task

from lab.errors import LabError, LabUsageError
from lab.options import FIRST_PORT, parse_number, state_folder
from lab.vm.flavours import FLAVOURS

if TYPE_CHECKING:
    from lab.vm.node import Node

_Task = TypeVar("_Task", bound=Callable[..., None])


def _task(**texts: str) -> Callable[[_Task], _Task]:
    """Wrap invoke's `task` with a help text for each parameter, typed so that a task keeps its own signature."""
    return cast(Callable[[_Task], _Task], task(help=texts))


@_task(nodes="number of nodes", release=", ".join(FLAVOURS), port_base="port of the first node")
def up(c: Context, nodes: str = "3", release: str = "bookworm", port_base: str = str(FIRST_PORT)) -> None:
    """Boot throw-away nodes on loopback ports; running nodes are left alone."""
    from lab.vm.lab import Lab

    with _exit_on_error():
        count, port = parse_number("--nodes", nodes, 999), parse_number("--port-base", port_base, 65535)
        lab = Lab(state_folder(), release, count, port, tied=False)
        seconds = lab.start(_report)
        for node in lab.nodes:
            took = f"up after {seconds[node.name]:.0f} s" if node.name in seconds else "up already"
            _report(f"{_line(node)}  {took}")


@_task(purge="remove the cached images too")
def down(c: Context, purge: bool = False) -> None:
    """Kill the nodes and remove their disks, keys and logs."""
    from lab.vm.image import purge_cache
    from lab.vm.lab import Lab

    with _exit_on_error():
        lab = Lab.existing(state_folder())
        lab.stop()
        for node in lab.nodes:
            _report(f"{node.name}  gone")
        if purge:
            kept = purge_cache()
            _report("image cache  gone" if not kept else "image cache  gone, but for the images of running nodes:")
            for folder in kept:
                _report(f"    {folder}")


@_task()
def status(c: Context) -> None:
    """Show the nodes, and which of them run."""
    from lab.vm.lab import Lab

    nodes = Lab.existing(state_folder()).nodes
    for node in nodes:
        _report(f"{_line(node)}  {'up' if node.alive() else 'down'}")
    if not nodes:
        _report("there is no lab here; `fab lab.up` makes one")


@_task(node="name of a node, such as lab-2; all nodes without it")
def reboot(c: Context, node: str = "") -> None:
    """Reboot one node or all from inside, and wait until they answer again."""
    from lab.vm.lab import Lab

    with _exit_on_error():
        lab = Lab.existing(state_folder())
        chosen = [lab.node(node)] if node else lab.nodes
        for name, seconds in lab.reboot(chosen).items():
            _report(f"{_line(lab.node(name))}  back after {seconds:.0f} s")


@_task(node="name of a node, such as lab-2", command="command to run; a shell without it", user="user to log in as")
def ssh(c: Context, node: str, command: str = "", user: str = "") -> None:
    """Log in to a node with the lab's key."""
    from lab.vm.lab import Lab

    with _exit_on_error():
        chosen = Lab.existing(state_folder()).node(node)
        words = [*chosen.ssh_command(user or chosen.record.user), *([command] if command else [])]
        sys.stdout.flush()
        os.execvp(words[0], words)


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """Turn the lab's errors into one message and an exit code: 2 if the user has to act first, else 4."""
    try:
        yield
    except LabUsageError as error:
        raise Exit(str(error), code=2) from error
    except LabError as error:
        raise Exit(str(error), code=4) from error


def _line(node: Node) -> str:
    record = node.record
    return f"{record.name}  127.0.0.1:{record.port}  {record.user:<8}  {record.release}"


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
