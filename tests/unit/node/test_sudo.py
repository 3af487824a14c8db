"""The password gate: one host tries, the others wait for its outcome. Threads are real, nothing sleeps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import pytest

from tasks.core.errors import RemoteError
from tasks.core.redact import Secret
from tasks.node import sudo
from tasks.node.sudo import PasswordGate, PasswordGates, password_missing

SECONDS = 10.0
HOSTS = [f"n{number}" for number in range(2, 10)]


@pytest.fixture(autouse=True)
def long_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody's turn end by time, but where a test wants it."""
    monkeypatch.setattr(sudo, "FIRST_PATIENCE", SECONDS)
    monkeypatch.setattr(sudo, "LATER_PATIENCE", SECONDS)


def ignore(_: float) -> None:
    """Keep nothing alive."""


def with_one_inside(outcome_of_n1: bool | None, other: Callable[[PasswordGate, str], str]) -> list[str]:
    """Let eight hosts come to the gate while n1 is inside, then let n1 leave; return what `other` made of each."""
    gate = PasswordGate()
    gate.enter("n1", ignore)
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(other, gate, host) for host in HOSTS]
        gate.leave("n1", outcome_of_n1)
        return [future.result(SECONDS) for future in others]


def outcome(gate: PasswordGate, host: str) -> str:
    try:
        gate.enter(host, ignore)
    except RemoteError as error:
        return error.problem
    return "entered"


def visit(gate: PasswordGate, host: str, accepted: bool | None) -> str:
    """Pass the gate, with an outcome."""
    if (found := outcome(gate, host)) == "entered":
        gate.leave(host, accepted)
    return found


def test_a_wrong_password_is_tried_on_two_hosts_and_on_no_other() -> None:
    outcomes = with_one_inside(False, lambda gate, host: visit(gate, host, False))
    assert outcomes.count("entered") == 1
    (second,) = (host for host, each in zip(HOSTS, outcomes, strict=True) if each == "entered")
    assert set(outcomes) == {"entered", f"the sudo password was not tried here: n1 and {second} refused it"}


def test_after_a_right_password_all_enter_without_waiting_for_each_other() -> None:
    assert with_one_inside(True, outcome) == ["entered"] * 8


@pytest.mark.parametrize("first", [False, None])
def test_a_host_that_refuses_or_learns_nothing_decides_for_no_other(first: bool | None) -> None:
    assert with_one_inside(first, lambda gate, host: visit(gate, host, True)) == ["entered"] * 8


def test_a_password_that_one_host_accepted_may_be_refused_by_many() -> None:
    gate = PasswordGate()
    assert visit(gate, "good", True) == "entered"
    assert [visit(gate, host, False) for host in HOSTS] == ["entered"] * 8


def test_one_host_that_refuses_it_twice_is_one_host() -> None:
    gate = PasswordGate()
    assert [visit(gate, host, False) for host in ("n1", "n1", "n2")] == ["entered"] * 3
    assert "n1 and n2 refused it" in outcome(gate, "n3")


def test_a_host_that_learned_nothing_passes_the_turn_on_to_one_at_a_time() -> None:
    inside, most, lock = 0, 0, Lock()

    def count(gate: PasswordGate, host: str) -> str:
        nonlocal inside, most
        gate.enter(host, ignore)
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        gate.leave(host, None)
        return "left"

    assert with_one_inside(None, count) == ["left"] * 8
    assert most == 1


def test_a_host_that_hangs_lets_the_others_try_after_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudo, "FIRST_PATIENCE", 0.05)
    gate = PasswordGate()
    gate.enter("hangs", ignore)  # and never leaves
    assert [visit(gate, host, True) for host in HOSTS] == ["entered"] * 8
    gate.leave("hangs", None)


def test_a_late_outcome_does_not_end_the_turn_of_the_next_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """pam_unix delays a refusal beyond the first patience; still no third host tries a wrong password."""
    monkeypatch.setattr(sudo, "FIRST_PATIENCE", 0.0)
    gate = PasswordGate()
    gate.enter("n1", ignore)
    gate.enter("n2", ignore)
    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(outcome, gate, "n3")
        gate.leave("n1", False)
        assert not third.done()
        gate.leave("n2", False)
        assert "n1 and n2 refused it" in third.result(SECONDS)


def test_a_waiting_host_is_woken_by_the_outcome_and_not_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudo, "PULSE", SECONDS)
    gate, waiting = PasswordGate(), Event()
    gate.enter("n1", ignore)

    def wait() -> str:
        waiting.set()
        return outcome(gate, "n2")

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(wait)
        assert waiting.wait(SECONDS)
        assert not other.done()
        gate.leave("n1", True)
        assert other.result(SECONDS / 2) == "entered"


def test_a_waiting_host_is_kept_alive_and_told_how_long_it_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudo, "PULSE", 0.01)
    gate, waits = PasswordGate(), list[float]()
    gate.enter("n1", ignore)

    def keep_alive(waited: float) -> None:
        waits.append(waited)
        if len(waits) == 3:
            gate.leave("n1", True)

    gate.enter("n2", keep_alive)
    assert len(waits) >= 3
    assert all(0.01 <= waited < SECONDS for waited in waits[:3])


def test_a_host_whose_connection_ends_while_it_waits_leaves_the_turn_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sudo, "PULSE", 0.01)
    gate = PasswordGate()
    gate.enter("n1", ignore)

    def cut(_: float) -> None:
        raise RemoteError("cut")

    with pytest.raises(RemoteError, match="cut"):
        gate.enter("n2", cut)
    gate.leave("n1", None)
    assert outcome(gate, "n3") == "entered"


def test_each_password_has_a_gate_of_its_own() -> None:
    gates = PasswordGates()
    assert gates.of(Secret("a")) is gates.of(Secret("a"))
    assert gates.of(Secret("a")) is not gates.of(Secret("b"))


def test_a_missing_password_names_the_user_and_the_flag() -> None:
    error = password_missing("admin@n1:22")
    assert "admin@n1:22" in error.problem
    assert "--prompt-for-sudo-password" in error.next_step
