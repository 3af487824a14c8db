"""Requests, replies and sudo: on a real shell, and on a scripted channel where they have to fail."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.errors import NodeError, RemoteError, ShellEndedError, UnreachableError
from tasks.core.host import Become
from tasks.core.redact import Secret
from tasks.core.result import Status
from tasks.node import steps as node
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation
from tasks.node.results import failure_result
from tasks.node.sudo import PasswordGate
from tests.support.builders import host, profile
from tests.support.shells import Machine
from tests.support.steps import (
    ENDED,
    JOBS,
    LOOK,
    ScriptedChannel,
    needs_namespaces,
    on,
    with_password,
    work,
)


@needs_namespaces
def test_sudo_without_a_password_is_used_for_the_change_only(unprivileged: Machine) -> None:
    assert on(unprivileged, node.plan_host, JOBS).status is Status.DRIFT
    assert "1000" in unprivileged.read("proc/self/status")
    done = on(unprivileged, node.apply_host, JOBS)
    assert (done.status, unprivileged.key("vm.x")) == (Status.CHANGED, "1")
    assert "\t0\t" in unprivileged.read("proc/self/status")


@needs_namespaces
def test_the_right_password_is_sent_once_and_only_when_it_is_asked_for(unprivileged: Machine) -> None:
    unprivileged.write("password", "pa$$ 'w\"rd`\\")
    done = on(unprivileged, node.apply_host, replace(JOBS, password=Secret("pa$$ 'w\"rd`\\")))
    assert (done.status, unprivileged.read("attempts")) == (Status.CHANGED, "tried\n")


@needs_namespaces
def test_a_password_that_nobody_asks_for_is_not_sent(unprivileged: Machine) -> None:
    with unprivileged.open() as channel:
        done = node.apply_host(Conversation(channel), host(), replace(JOBS, password=Secret("correct horse")))
    assert done.status is Status.CHANGED
    assert b"correct horse" not in channel.sent


@needs_namespaces
@pytest.mark.parametrize("tries", [1, 3])
def test_a_wrong_password_is_tried_once_on_two_nodes_and_nowhere_else(
    tries: int, unprivileged: Machine, tmp_path: Path
) -> None:
    others = [Machine(tmp_path / name, uid=1000, keys={"vm.x": "0"}) for name in ("n2", "n3")]
    machines = {"n1": unprivileged, "n2": others[0], "n3": others[1]}
    jobs = replace(work(profile("vm.x = 1\n"), hosts=tuple(machines)), password=Secret("wrong"))
    for machine in machines.values():
        machine.write("password", "right")
        machine.write("tries", str(tries))
    first, second, third = (on(machine, node.apply_host, jobs, host(name)) for name, machine in machines.items())
    assert {first.status, second.status, third.status} == {Status.FAILED}
    assert ("password" in first.problem, "password" in second.problem) == (True, True)
    assert "n1 and n2 refused it" in third.problem
    assert [machine.read("attempts") for machine in machines.values()] == ["tried\n", "tried\n", ""]
    assert {machine.key("vm.x") for machine in machines.values()} == {"0"}
    assert "wrong\n" not in first.problem + first.next_step + repr(jobs)


@needs_namespaces
def test_a_password_of_the_inventorys_own_beats_the_one_that_was_typed(unprivileged: Machine) -> None:
    unprivileged.write("password", "mine")
    whom = replace(host(), become=Become(password=Secret("mine")))
    assert on(unprivileged, node.apply_host, replace(JOBS, password=Secret("typed")), whom).status is Status.CHANGED


@needs_namespaces
@pytest.mark.parametrize(
    ("password", "allowed", "given", "problem", "step"),
    [
        ("right", True, None, "sudo needs a password for admin", "--prompt-for-sudo-password"),
        ("", False, None, "sudo refused admin: the node's shell ended with status 1: admin is not", "-l"),
        ("right", False, "right", "sudo refused admin: the node's shell ended with status 1", "sudo -l"),
    ],
    ids=["a password is needed", "not in sudoers", "not in sudoers with a password"],
)
def test_a_sudo_that_refuses_says_why_and_what_helps(
    password: str, allowed: bool, given: str | None, problem: str, step: str, unprivileged: Machine
) -> None:
    if password:
        unprivileged.write("password", password)
    if not allowed:
        (unprivileged.root / "allowed").unlink()
    done = on(unprivileged, node.apply_host, replace(JOBS, password=Secret(given) if given else None))
    assert done.status is Status.FAILED
    assert problem in done.problem
    assert step in done.next_step
    assert unprivileged.key("vm.x") == "0"


@needs_namespaces
def test_a_host_that_may_not_become_root_is_not_changed(unprivileged: Machine) -> None:
    done = on(unprivileged, node.apply_host, JOBS, replace(host(), become=Become(wanted=False)))
    assert done.status is Status.FAILED
    assert "ansible_become is false" in done.problem


@pytest.mark.parametrize(
    ("says", "jobs", "status", "problem"),
    [
        ([RemoteError("no answer within 60 s")], JOBS, Status.FAILED, "no answer within 60 s"),
        ([*LOOK, RemoteError("no answer within 60 s")], JOBS, Status.FAILED, "no answer within 60 s"),
        ([UnreachableError("the connection was lost: x")], JOBS, Status.UNREACHABLE, "the connection was lost"),
        (["MARK begin\n", "MARK end\n"], JOBS, Status.FAILED, "the node's reply makes no sense"),
        (
            ["MARK begin\n", ShellEndedError(f"{ENDED}a piece of it")],
            JOBS,
            Status.FAILED,
            "shell ended while it replied",
        ),
        (["MARK begin\n", "hello\x1b\nMARK end\n"], JOBS, Status.FAILED, "makes no sense: 'hello\\x1b\\n'"),
        (
            [*LOOK, ShellEndedError(f"{ENDED}sudo: a password is required")],
            JOBS,
            Status.FAILED,
            "sudo needs a password",
        ),
        ([*LOOK, ShellEndedError(f"{ENDED}sudo: not found")], JOBS, Status.FAILED, "sudo refused admin"),
        (
            [*LOOK, "MARK ready\n", ShellEndedError("the node's shell ended with status -9: it said nothing")],
            JOBS,
            Status.FAILED,
            "in the middle of a change, the node's shell ended with status -9",
        ),
        ([*LOOK, UnreachableError("the connection was lost: y")], JOBS, Status.UNREACHABLE, "was lost"),
        ([*LOOK, "MARK password", "MARK password"], with_password(), Status.FAILED, "wrong sudo password for admin"),
        ([*LOOK, "MARK password", ShellEndedError(ENDED)], with_password(), Status.FAILED, "sudo refused"),
        ([*LOOK, RuntimeError("oops")], JOBS, Status.FAILED, "RuntimeError: oops"),
    ],
)
def test_what_goes_wrong_on_the_way_becomes_the_hosts_result(
    says: list[str | Exception], jobs: StepContext, status: Status, problem: str
) -> None:
    channel, whom = ScriptedChannel(list(says)), host()
    try:
        result = node.apply_host(Conversation(channel), whom, jobs)
    except Exception as error:
        result = failure_result(whom, error)
    assert (result.host, result.status, result.items) == ("n1", status, ())
    assert problem in result.problem
    assert "secret" not in result.problem + result.next_step
    assert channel.says == []


def test_the_change_is_not_sent_before_sudo_took_the_password() -> None:
    channel = ScriptedChannel([*LOOK, "MARK password", ShellEndedError(ENDED)])
    with pytest.raises(NodeError):
        node.apply_host(Conversation(channel), host(), with_password())
    assert [bool(re.match(rb"password \d+\n\Z", data)) for data in channel.sent] == [False, True, False]
    assert channel.sent[2] == b"secret\n"


@pytest.mark.parametrize(
    ("end", "others_try"),
    [
        (["MARK password"], False),
        ([ShellEndedError(f"{ENDED}sudo: 1 incorrect password attempt")], False),
        ([ShellEndedError(f"{ENDED}sudo: Maximum 1 incorrect authentication attempts reached")], False),
        ([ShellEndedError(f"{ENDED}admin is not in the sudoers file.")], True),
        ([UnreachableError("the connection was lost")], True),
    ],
    ids=["asked again", "passwd_tries=1", "sudo-rs", "not in sudoers", "connection lost"],
)
def test_only_a_password_that_two_hosts_refused_is_kept_from_the_others(
    end: list[str | Exception], others_try: bool
) -> None:
    jobs = replace(work(profile("vm.x = 1\n"), hosts=("n1", "n2", "n3")), password=Secret("secret"))
    for name in ("n1", "n2"):
        first = ScriptedChannel([*LOOK, "MARK password", *end])
        with pytest.raises(NodeError):
            node.apply_host(Conversation(first), host(name), jobs)
        assert b"secret\n" in first.sent
    third = ScriptedChannel([*LOOK, "MARK password", UnreachableError("far enough")])
    with pytest.raises(NodeError, match="far enough" if others_try else "n1 and n2 refused it"):
        node.apply_host(Conversation(third), host("n3"), jobs)
    assert (b"secret\n" in third.sent) is others_try


def test_a_host_whose_sudo_does_not_ask_never_enters_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither if it hangs before it asks, nor if it needs no password: no other host waits for it."""
    monkeypatch.setattr(PasswordGate, "enter", lambda *_: pytest.fail("it entered"))
    silent = ScriptedChannel([*LOOK, RemoteError("no answer within 60 s")])
    with pytest.raises(NodeError, match="no answer"):
        node.apply_host(Conversation(silent), host(), with_password())
    free = ScriptedChannel([*LOOK, "MARK ready\n", UnreachableError("far enough")])
    with pytest.raises(NodeError, match="far enough"):
        node.apply_host(Conversation(free), host(), with_password())
    assert b"secret\n" not in silent.sent + free.sent


def test_a_wrong_password_among_many_hosts_at_once_is_tried_twice() -> None:
    names = tuple(f"n{number}" for number in range(8))
    jobs = replace(work(profile("vm.x = 1\n"), hosts=names), password=Secret("secret"))
    channels = {name: ScriptedChannel([*LOOK, "MARK password", "MARK password"]) for name in names}

    def attempt(name: str) -> str:
        with pytest.raises(NodeError) as caught:
            node.apply_host(Conversation(channels[name]), host(name), jobs)
        return caught.value.problem

    with ThreadPoolExecutor(8) as pool:
        problems = list(pool.map(attempt, names))
    assert sum("wrong sudo password" in problem for problem in problems) == 2
    assert sum("was not tried here" in problem for problem in problems) == 6
    assert sum(b"secret\n" in channel.sent for channel in channels.values()) == 2
