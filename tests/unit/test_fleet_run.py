"""Many hosts at once: how many, in which order, and that neither trouble nor Ctrl-C costs a result."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from threading import Barrier, Event, Lock

import fabric
import pytest

from tasks.core.model import Host, HostKeys, NodeResult, SshOptions, Status
from tasks.remote import fleet
from tasks.remote.node import Work
from tasks.remote.session import Access

SECONDS = 10.0
Task = Callable[[Host], NodeResult]


class Watching:
    """A Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []

    def started(self, host: str) -> None:
        """Kept."""
        self.began.append(host)

    def finished(self, result: NodeResult) -> None:
        """Kept."""
        self.ended.append(result.host)


def hosts(count: int) -> list[Host]:
    return [Host(f"n{number}", f"192.0.2.{number}") for number in range(count)]


def fine(host: Host) -> NodeResult:
    return NodeResult(host.name, Status.OK)


def test_results_come_in_the_order_of_the_hosts_however_they_finish() -> None:
    last_done = Event()

    def task(host: Host) -> NodeResult:
        if host.name == "n4":
            last_done.set()
        else:
            assert last_done.wait(SECONDS)
        return fine(host)

    watching = Watching()
    summary = fleet.run("plan", hosts(5), task, 5, watching)
    assert [result.host for result in summary.results] == ["n0", "n1", "n2", "n3", "n4"]
    assert (summary.verb, summary.interrupted, watching.ended[0]) == ("plan", False, "n4")
    assert Counter(watching.began) == Counter(watching.ended) == Counter(host.name for host in hosts(5))


@pytest.mark.parametrize("forks", [1, 3, 100, 0])
def test_no_more_hosts_than_forks_are_worked_on_at_once_and_no_fewer(forks: int) -> None:
    at_once = max(1, min(forks, 6))
    together, lock, inside, most = Barrier(at_once), Lock(), 0, 0

    def task(host: Host) -> NodeResult:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        together.wait(SECONDS)
        with lock:
            inside -= 1
        return fine(host)

    summary = fleet.run("plan", hosts(6), task, forks, Watching())
    assert {result.status for result in summary.results} == {Status.OK}
    assert most == at_once


def test_an_exception_of_one_host_is_its_result_and_nobody_elses() -> None:
    def task(host: Host) -> NodeResult:
        if host.name == "n1":
            raise RuntimeError("oops")
        return fine(host)

    summary = fleet.run("plan", hosts(3), task, 1, Watching())
    assert [str(result.status) for result in summary.results] == ["ok", "failed", "ok"]
    assert summary.results[1].problem == "RuntimeError: oops"


@pytest.mark.parametrize("error", [OSError("closed"), ValueError("I/O operation on closed file"), IndexError("x")])
def test_a_progress_that_fails_is_no_reason_to_stop(error: Exception) -> None:
    class Broken(Watching):
        def finished(self, result: NodeResult) -> None:
            raise error

    summary = fleet.run("plan", hosts(3), fine, 2, Broken())
    assert [str(result.status) for result in summary.results] == ["ok"] * 3


def test_the_same_node_under_two_names_is_worked_on_once() -> None:
    twins = [Host("a", "192.0.2.1"), Host("b", "192.0.2.1"), Host("c", "192.0.2.1", port=2222)]
    watching = Watching()
    summary = fleet.run("apply", twins, fine, 5, watching)
    assert [str(result.status) for result in summary.results] == ["ok", "skipped", "ok"]
    assert summary.results[1].problem == "the same node as a"
    assert sorted(watching.began) == ["a", "c"]


def test_no_hosts_are_no_trouble() -> None:
    assert fleet.run("plan", [], fine, 5, Watching()).results == ()


# Ctrl-C


def interrupt() -> None:
    """Ctrl-C, once the main thread waits for its fleet: before that it would hit this test instead."""
    main = threading.main_thread().ident
    assert main is not None
    while True:
        frame = sys._current_frames().get(main)
        names = []
        while frame:
            names.append((frame.f_code.co_name, frame.f_code.co_filename))
            frame = frame.f_back
        if [name for name, _ in names[:3]] == ["wait", "wait", "work"] and names[2][1] == fleet.__file__:
            break
        Event().wait(0.001)
    signal.pthread_kill(main, signal.SIGINT)


in_main = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="Ctrl-C goes to the main thread"
)


def taken_back(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Set once the hosts that wait have been taken back."""
    done = Event()

    class Waiting(deque[Host]):
        def clear(self) -> None:
            super().clear()
            done.set()

    monkeypatch.setattr(fleet, "deque", Waiting)
    return done


@in_main
def test_after_ctrl_c_no_host_starts_and_those_under_way_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = taken_back(monkeypatch)

    def task(host: Host) -> NodeResult:
        if host.name == "n1":
            interrupt()
            assert taken.wait(SECONDS)
        return fine(host)

    summary = fleet.run("apply", hosts(4), task, 1, Watching())
    assert summary.interrupted
    assert [str(result.status) for result in summary.results] == ["ok", "ok", "skipped", "skipped"]
    assert {result.problem for result in summary.results[2:]} == {"interrupted before it started"}


@in_main
def test_a_second_ctrl_c_gives_up_on_those_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, over = taken_back(monkeypatch), Event()

    def task(host: Host) -> NodeResult:
        if host.name == "n1":
            interrupt()
            assert taken.wait(SECONDS)
            interrupt()
            assert over.wait(SECONDS)
        return fine(host)

    try:
        summary = fleet.run("apply", hosts(4), task, 1, Watching())
    finally:
        over.set()
    assert [str(result.status) for result in summary.results] == ["ok", "skipped", "skipped", "skipped"]
    assert summary.results[1].problem == "interrupted before it finished"


# One host


@pytest.fixture
def access() -> Access:
    return Access(fabric.Config(), HostKeys.STRICT)


def test_one_host_that_nobody_listens_on_is_unreachable_and_timed(access: Access) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        whom = Host("n1", "127.0.0.1", port=taken.getsockname()[1], ssh=SshOptions(not_honoured=("x=1",)))
        result = fleet.one(lambda *_: fine(whom), whom, Work({}), access, 5.0)
    assert (result.host, result.status) == ("n1", Status.UNREACHABLE)
    assert "Connection refused" in result.problem
    assert result.notes == ("not honoured: x=1",)
    assert 0 < result.seconds < 5


def test_one_host_whose_options_make_no_sense_is_a_result_too(access: Access) -> None:
    whom = replace(hosts(1)[0], port=-1)
    result = fleet.one(lambda *_: fine(whom), whom, Work({}), access, 5.0)
    assert result.status in (Status.FAILED, Status.UNREACHABLE)
