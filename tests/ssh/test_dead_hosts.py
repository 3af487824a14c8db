"""Hosts that do not answer: they wait beside the others, and not in their slots."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from lab.fleet.fleet import Address, Fleet
from tests.ssh.suite import Suite, deaf

HEALTHY, DEAD, FORKS, SECONDS = 6, 16, 2, 4


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(2 * HEALTHY) as many:
        yield many


@contextlib.contextmanager
def mute(_: str) -> Iterator[Address]:
    """Yield an address that takes connections and never speaks."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield Address(*listener.getsockname())


@pytest.mark.parametrize(("kind", "problem"), [(deaf, "no answer on port"), (mute, "does not speak SSH in time")])
def test_more_dead_hosts_than_forks_are_waited_for_at_once(
    kind: Callable[[str], AbstractContextManager[Address]], problem: str, suite: Suite
) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(DEAD):
            address = stack.enter_context(kind(suite.fleet.dead_address().host))
            suite.add(f"dead{number}", address, args=f"-o ConnectTimeout={SECONDS}")
        healthy = {f"n{number}": suite.fresh(f"n{number}") for number in range(HEALTHY)}
        done = suite.json("verify", "--forks", str(FORKS), seconds=120)
    assert done.data["counts"] == {"unreachable": DEAD, "drift": HEALTHY}
    dead = [node for node in done.data["nodes"] if node["status"] == "unreachable"]
    assert [node["problem"] for node in dead if problem not in node["problem"]] == []
    assert sum(node["seconds"] for node in dead) > FORKS * done.data["seconds"]  # so many were waited for at a time
    assert {suite.fleet.connections(host) for host in healthy.values()} == {1}
