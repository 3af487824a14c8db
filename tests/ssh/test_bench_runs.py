"""The bench on real sshd nodes: the peers' script does its work, and the measuring sees what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.cost import count_calls
from bench.drivers import DRIVERS, FIRST, SECOND
from bench.run import measure_phase, node_spec, prepare
from bench.work import Work
from lab.fleet.fleet import Fleet

WORK = Work("overlay\nbr_netfilter\n", "net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\n")
SSH = DRIVERS["ssh"]


@pytest.fixture
def node() -> Iterator[Fleet]:
    with Fleet(1, nodes=[node_spec()]) as fleet:
        prepare(fleet, WORK)
        yield fleet


def test_the_peers_script_changes_everything_measure_phase(node: Fleet) -> None:
    assert WORK.wrong_nodes(node) == 1
    said = [node_says(node, phase) for phase in (FIRST, SECOND)]
    assert WORK.wrong_nodes(node) == 0
    assert [(text.count("changed "), text.count("ok ")) for text in said] == [(WORK.items, 0), (0, WORK.items)]


def node_says(node: Fleet, phase: str) -> str:
    """Runs the script by the driver's own command, and what came back."""
    log = node.client / "said"
    command = SSH.commands[phase](node)
    figures = measure_phase(
        node, replace(SSH, commands={phase: lambda _: ["sh", "-c", '"$@" >' + str(log), "sh", *command]}), phase
    )
    assert (figures["code"], figures["connections"]) == (0, 1)
    assert float(figures["wall"]) > 0 < float(figures["cpu"])
    return log.read_text()


def test_a_command_that_fails_keeps_its_last_words(node: Fleet) -> None:
    driver = replace(SSH, commands={FIRST: lambda _: ["sh", "-c", "echo first; echo last >&2; exit 7"]})
    figures = measure_phase(node, driver, FIRST)
    assert (figures["code"], figures["said"], figures["connections"]) == (7, "first / last", 0)


def test_bytes_are_counted_behind_a_wire() -> None:
    with Fleet(1, nodes=[node_spec()], rtt_ms=2) as fleet:
        prepare(fleet, WORK)
        figures = measure_phase(fleet, SSH, FIRST)
    assert figures["code"] == 0
    assert int(figures["sent"]) > len(WORK.script())
    assert int(figures["received"]) > 1000


def test_a_second_apply_starts_fewer_processes_than_a_first() -> None:
    first, second = count_calls("ssh", WORK)
    assert first.forks > second.forks > 0
    assert first.calls > second.calls > first.execs > 0
