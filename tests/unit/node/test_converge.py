"""Two passes at most, and what the second look shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.core.result import Status
from tasks.node import converge as node_converge
from tasks.node import steps as node
from tasks.node.conversation import Conversation
from tests.support.builders import SYSCTL, Node, host, profile
from tests.support.shells import Machine
from tests.support.steps import (
    JOBS,
    apply,
    needs_namespaces,
    on,
    statuses,
    work,
)


@needs_namespaces
def test_an_optional_key_that_comes_with_a_module_nobody_connects_it_to_is_set_in_the_second_pass(
    machine: Machine,
) -> None:
    machine.module("ip_vs", {"net.netfilter.nf_conntrack_max": "1"})
    jobs = work(profile("-net.netfilter.nf_conntrack_max = 7\n", "ip_vs\n"))
    done = on(machine, node.apply_host, jobs)
    assert done.status is Status.CHANGED
    assert machine.key("net.netfilter.nf_conntrack_max") == "7"
    assert machine.read(SYSCTL.format("p")[1:]).endswith("\nnet.netfilter.nf_conntrack_max = 7\n")
    assert on(machine, node.apply_host, jobs).status is Status.OK


@needs_namespaces
def test_a_required_key_that_comes_with_a_module_nobody_connects_it_to_is_set_in_the_second_pass(
    machine: Machine,
) -> None:
    machine.module("ip_vs", {"net.netfilter.nf_conntrack_max": "1"})
    done = on(machine, node.apply_host, work(profile("net.netfilter.nf_conntrack_max = 7\n", "ip_vs\n")))
    assert (done.status, machine.key("net.netfilter.nf_conntrack_max")) == (Status.CHANGED, "7"), done.items


@needs_namespaces
def test_what_a_first_pass_did_is_told_also_when_somebody_else_comes_before_the_second(machine: Machine) -> None:
    machine.module("ip_vs", {"net.netfilter.nf_conntrack_max": "1"})
    jobs = work(profile("net.netfilter.nf_conntrack_max = 7\n", "ip_vs\n"), force_unlock=True)
    lock = f"{os.getpid()} 0 none 00ff fix bob@desk 20261125-021502-a3f1\n"
    with machine.open() as channel:
        channel.before(3, lambda: machine.write("run/nodeprep.lock", lock))
        done = node.apply_host(Conversation(channel), host(), jobs)
    assert done.status is Status.FAILED
    found = statuses(done)
    assert found["ip_vs"] == "changed"
    assert found["net.netfilter.nf_conntrack_max"] not in ("ok", "changed")
    (note,) = done.notes
    assert note.startswith("no second pass: locked by bob@desk: fix since 2026-11-25 02:15:02 UTC; wait")
    assert machine.read("run/nodeprep.lock") == lock, "the other's"


@needs_namespaces
def test_a_module_that_does_not_load_is_told_with_modprobes_words(machine: Machine) -> None:
    machine.module("broken")
    (machine.root / "brings/broken").unlink()
    done = on(machine, node.apply_host, work(profile("vm.x = 1\n", "broken\nbr_netfilter\n")))
    assert done.status is Status.FAILED
    (item,) = (item for item in done.items if item.name == "broken")
    assert (item.status, "modprobe: FATAL: Module broken not found" in item.why) == ("drift", True)
    assert (machine.key("vm.x"), "br_netfilter" in machine.read("proc/modules")) == ("1", True)


@needs_namespaces
def test_a_file_that_cannot_be_written_does_not_keep_keys_from_being_set_nor_brings_old_values_back(
    machine: Machine,
) -> None:
    jobs = work(profile("vm.x = 1\nvm.y = 6\n"))
    machine.write("proc/sys/vm/y", "6\n")
    machine.write(SYSCTL.format("p")[1:], "vm.y = 5\n")
    stub = '#!/bin/sh\ncase $* in */etc/*) echo mv: no >&2; exit 1 ;; esac\nexec /usr/bin/mv "$@"\n'
    (machine.root / "stub/mv").write_text(stub)
    (machine.root / "stub/mv").chmod(0o755)
    done = on(machine, node.apply_host, jobs)
    assert (done.status, machine.key("vm.x"), machine.key("vm.y")) == (Status.FAILED, "1", "6")
    assert [item.why for item in done.items if item.name == SYSCTL.format("p")] == ["mv: no"]
    assert [path.name for path in (machine.root / "etc/sysctl.d").iterdir()] == [Path(SYSCTL.format("p")).name]


def test_nothing_to_do_costs_one_request() -> None:
    far = Node(keys={"vm.x": "0"})
    assert apply(far, JOBS)[1].requests == 2
    assert apply(far, JOBS)[1].requests == 1


@pytest.mark.parametrize("noisy", [True, False], ids=["sysctl complains", "sysctl says nothing"])
def test_a_value_that_the_kernel_refuses_is_kept_by_the_kernel(noisy: bool) -> None:
    far = Node(keys={"vm.x": "0", "vm.y": "0"}, turned={"vm.x": lambda _: None}, noisy=noisy)
    done, channel = apply(far, work(profile("vm.x = 1\nvm.y = 1\n")))
    (item,) = (item for item in done.items if item.name == "vm.x")
    assert (done.status, item.status, item.got) == (Status.FAILED, "kept-by-kernel", "0")
    assert ("I/O error" in item.why) is noisy
    assert (far.keys["vm.y"], channel.requests) == ("1", 2)


def test_a_value_that_the_kernel_turns_into_another_is_not_called_changed() -> None:
    far = Node(keys={"vm.x": "0"}, turned={"vm.x": lambda _: "7"})
    done, _ = apply(far, JOBS)
    (item,) = (item for item in done.items if item.name == "vm.x")
    assert (item.status, item.got) == ("kept-by-kernel", "7")


def test_a_file_that_cannot_be_written_fails_the_node_and_the_keys_are_set_all_the_same() -> None:
    far = Node(keys={"vm.x": "0"}, read_only=True)
    done, _ = apply(far, JOBS)
    (item,) = (item for item in done.items if item.name == SYSCTL.format("p"))
    assert (done.status, item.status) == (Status.FAILED, "drift")
    assert "Read-only file system" in item.why
    assert far.keys["vm.x"] == "1"


def test_a_key_that_never_comes_to_rest_does_not_keep_the_conversation_going() -> None:
    turns = iter(range(1000))
    far = Node(keys={"vm.x": "0"}, turned={"vm.x": lambda _: str(next(turns))})
    assert apply(far, work(profile("vm.x = 5000\n")))[1].requests <= 1 + node_converge.PASSES
