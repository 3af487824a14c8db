"""The password gate: one host tries, the others wait for its outcome. Threads are real, nothing sleeps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import pytest

from tasks.core.errors import RemoteError
from tasks.core.redact import Secret
from tasks.node.sudo import PasswordGate, PasswordGates, password_missing

SECONDS = 10.0
HOSTS = [f"n{number}" for number in range(2, 10)]


def with_one_inside(outcome_of_n1: bool | None, other: Callable[[PasswordGate, str], str]) -> list[str]:
    """Let eight hosts come to the gate while n1 is inside, then let n1 leave; return what `other` made of each."""
    gate = PasswordGate()
    gate.enter(SECONDS)
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(other, gate, host) for host in HOSTS]
        gate.leave("n1", outcome_of_n1)
        return [future.result(SECONDS) for future in others]


def outcome(gate: PasswordGate, host: str) -> str:
    try:
        gate.enter(SECONDS)
    except RemoteError as error:
        return error.problem
    return "entered"


def test_after_a_wrong_password_no_other_host_tries_it() -> None:
    outcomes = with_one_inside(False, outcome)
    assert set(outcomes) == {"the sudo password was not tried here: n1 refused it"}


def test_after_a_right_password_all_enter_without_waiting_for_each_other() -> None:
    assert with_one_inside(True, outcome) == ["entered"] * 8


def test_a_host_that_learned_nothing_passes_the_turn_on_to_one_at_a_time() -> None:
    inside, most, lock = 0, 0, Lock()

    def visit(gate: PasswordGate, host: str) -> str:
        nonlocal inside, most
        gate.enter(SECONDS)
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        gate.leave(host, None)
        return "left"

    assert with_one_inside(None, visit) == ["left"] * 8
    assert most == 1


def test_the_first_refusal_after_hosts_that_learned_nothing_counts() -> None:
    gate = PasswordGate()
    for host, outcome_there in (("n1", None), ("n2", None), ("n3", False)):
        gate.enter(SECONDS)
        gate.leave(host, outcome_there)
    assert "n3 refused it" in outcome(gate, "n4")


def test_a_host_does_not_wait_for_ever() -> None:
    gate = PasswordGate()
    gate.enter(SECONDS)
    with pytest.raises(RemoteError, match="was still being tried on another host"):
        gate.enter(0.01)


def test_a_waiting_host_is_woken_by_the_outcome_and_not_by_time() -> None:
    gate, waiting = PasswordGate(), Event()
    gate.enter(SECONDS)

    def wait() -> str:
        waiting.set()
        return outcome(gate, "n2")

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(wait)
        assert waiting.wait(SECONDS)
        assert not other.done()
        gate.leave("n1", True)
        assert other.result(SECONDS) == "entered"


def test_each_password_has_a_gate_of_its_own() -> None:
    gates = PasswordGates()
    assert gates.of(Secret("a")) is gates.of(Secret("a"))
    assert gates.of(Secret("a")) is not gates.of(Secret("b"))


def test_a_missing_password_names_the_user_and_the_flag() -> None:
    error = password_missing("admin@n1:22")
    assert "admin@n1:22" in error.problem
    assert "--prompt-for-sudo-password" in error.next_step
