"""Many hosts at once: how many, in which order, and that neither trouble nor Ctrl-C costs a result."""

from __future__ import annotations

import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from threading import Barrier, Event, Lock

import fabric
import pytest

from tasks.core.host import Host, HostKeys, SshOptions
from tasks.core.result import NodeResult, RunSummary, Status
from tasks.core.run.batches import parse_rollout
from tasks.fleet import pool as fleet
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation
from tasks.ssh.route import Access
from tests.support.steps import work

SECONDS = 10.0
Task = Callable[[Host], NodeResult]


class Watching:
    """A Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.batches: list[tuple[int, int, int]] = []
        self.ending = Event()

    def batch(self, number: int, of: int, size: int) -> None:
        """Kept."""
        self.batches.append((number, of, size))

    def started(self, host: str) -> None:
        """Kept."""
        self.began.append(host)

    def finished(self, result: NodeResult) -> None:
        """Kept."""
        self.ended.append(result.host)

    def interrupted(self) -> None:
        """Kept."""
        self.ending.set()


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
    summary = fleet.run_on_all("plan", hosts(5), task, 5, watching)
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

    summary = fleet.run_on_all("plan", hosts(6), task, forks, Watching())
    assert {result.status for result in summary.results} == {Status.OK}
    assert most == at_once


def test_an_exception_of_one_host_is_its_result_and_nobody_elses() -> None:
    def task(host: Host) -> NodeResult:
        if host.name == "n1":
            raise RuntimeError("oops")
        return fine(host)

    summary = fleet.run_on_all("plan", hosts(3), task, 1, Watching())
    assert [str(result.status) for result in summary.results] == ["ok", "failed", "ok"]
    assert summary.results[1].problem == "RuntimeError: oops"


@pytest.mark.parametrize("error", [OSError("closed"), ValueError("I/O operation on closed file"), IndexError("x")])
def test_a_progress_that_fails_is_no_reason_to_stop(error: Exception) -> None:
    class Broken(Watching):
        def finished(self, result: NodeResult) -> None:
            raise error

    summary = fleet.run_on_all("plan", hosts(3), fine, 2, Broken())
    assert [str(result.status) for result in summary.results] == ["ok"] * 3


def test_what_is_no_exception_is_that_hosts_result_too() -> None:
    """A worker that died without being counted was waited for without end."""

    class Panic(BaseException):
        pass

    def task(host: Host) -> NodeResult:
        if host.name == "n1":
            raise Panic("out of order")
        return fine(host)

    summary = fleet.run_on_all("plan", hosts(3), task, 3, Watching())
    assert [result.status for result in summary.results] == [Status.OK, Status.FAILED, Status.OK]
    assert summary.results[1].problem == "Panic: out of order"


def test_the_same_node_under_two_names_is_worked_on_once() -> None:
    twins = [Host("a", "192.0.2.1"), Host("b", "192.0.2.1"), Host("c", "192.0.2.1", port=2222)]
    watching = Watching()
    summary = fleet.run_on_all("apply", twins, fine, 5, watching)
    assert [str(result.status) for result in summary.results] == ["ok", "skipped", "ok"]
    assert summary.results[1].problem == "the same node as a"
    assert sorted(watching.began) == ["a", "c"]


def test_no_hosts_are_no_trouble() -> None:
    assert fleet.run_on_all("plan", [], fine, 5, Watching()).results == ()


# Ctrl-C


def interrupt() -> None:
    """Ctrl-C, from a host that is worked on."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


in_main = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="Ctrl-C goes to the main thread"
)


def interrupted(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """For the first and the second Ctrl-C an event: it was taken notice of."""
    taken, real = [Event(), Event()], fleet._WorkerPool.interrupt

    def interrupt(crew: fleet._WorkerPool) -> None:
        real(crew)
        taken[crew._interrupts - 1].set()

    monkeypatch.setattr(fleet._WorkerPool, "interrupt", interrupt)
    return taken


@in_main
def test_after_ctrl_c_no_host_starts_and_those_under_way_finish() -> None:
    watching = Watching()

    def task(host: Host) -> NodeResult:
        if host.name == "n1":
            interrupt()
            assert watching.ending.wait(SECONDS)  # it is told while they are under way
        return fine(host)

    summary = fleet.run_on_all("apply", hosts(4), task, 1, watching)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert summary.interrupted
    assert [str(result.status) for result in summary.results] == ["ok", "ok", "skipped", "skipped"]
    assert {result.problem for result in summary.results[2:]} == {"interrupted before it started"}


@in_main
def test_a_second_ctrl_c_gives_up_on_those_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, over = interrupted(monkeypatch), Event()

    def task(host: Host) -> NodeResult:
        if host.name == "n1":
            interrupt()
            assert taken[0].wait(SECONDS)
            interrupt()
            assert over.wait(SECONDS)
        return fine(host)

    try:
        summary = fleet.run_on_all("apply", hosts(4), task, 1, Watching())
    finally:
        over.set()
    assert [str(result.status) for result in summary.results] == ["ok", "failed", "skipped", "skipped"]
    assert summary.results[1].problem == "given up before it finished"  # skipped would say that nothing was done


@in_main
def test_after_ctrl_c_no_further_batch_starts() -> None:
    def task(host: Host) -> NodeResult:
        interrupt()
        return fine(host)

    watching = Watching()
    summary = fleet.run_on_all("apply", hosts(4), task, 4, watching, parse_rollout("2", ""))
    assert {result.problem for result in summary.results[2:]} == {"interrupted before it started"}
    assert watching.batches == [(1, 2, 2)]


@in_main
def test_a_ctrl_c_while_a_batch_is_being_told_starts_none_of_it() -> None:
    class Interrupting(Watching):
        def batch(self, number: int, of: int, size: int) -> None:
            if number == 2:
                signal.raise_signal(signal.SIGINT)

    summary = fleet.run_on_all("apply", hosts(4), fine, 4, Interrupting(), parse_rollout("2", ""))
    assert [str(result.status) for result in summary.results] == ["ok", "ok", "skipped", "skipped"]


# Batches


def failing(*names: str) -> Task:
    """A task whose hosts of these names cannot be reached, or fail when it is an even one."""

    def task(host: Host) -> NodeResult:
        bad = Status.FAILED if int(host.name[1:]) % 2 == 0 else Status.UNREACHABLE
        return NodeResult(host.name, bad if host.name in names else Status.OK)

    return task


def statuses(summary: RunSummary) -> str:
    """A letter a host: ok, failed, unreachable, skipped."""
    return "".join(result.status[0] for result in summary.results)


def test_a_batch_starts_when_the_one_before_is_done() -> None:
    working, lock, seen = set[str](), Lock(), list[set[str]]()

    def task(host: Host) -> NodeResult:
        with lock:
            working.add(host.name)
            seen.append(set(working))
        return fine(host)

    class Between(Watching):
        def batch(self, number: int, of: int, size: int) -> None:
            super().batch(number, of, size)
            working.clear()

    watching = Between()
    summary = fleet.run_on_all("apply", hosts(7), task, 9, watching, parse_rollout("1,2,50%", ""))
    assert statuses(summary) == "o" * 7
    assert watching.batches == [(1, 4, 1), (2, 4, 2), (3, 4, 3), (4, 4, 1)]
    groups = [{"n0"}, {"n1", "n2"}, {"n3", "n4", "n5"}, {"n6"}]
    assert all(any(now <= group for group in groups) for now in seen)


def test_one_batch_is_not_told() -> None:
    watching = Watching()
    fleet.run_on_all("apply", hosts(3), fine, 1, watching)
    assert watching.batches == []


@pytest.mark.parametrize(
    ("serial", "limit", "bad", "expected", "why"),
    [
        ("2", "1", ("n0", "n3"), "foouss", "2 of 6 nodes failed, --max-fail allows 1"),
        ("2", "2", ("n0", "n3"), "foouoo", ""),
        ("1,3", "", ("n0",), "fsssss", "no node of the batch before came through (--max-fail overrides this)"),
        ("1,3", "1", ("n0",), "fooooo", ""),
        ("", "0", ("n1",), "oussss", "1 of 6 nodes failed, --max-fail allows 0"),
        ("", "20%", ("n0", "n1"), "fussss", "2 of 6 nodes failed, --max-fail allows 20%"),
        ("3", "0", ("n5",), "ooooou", ""),
    ],
)
def test_too_many_failures_start_no_further_batch_or_without_batches_no_further_host(
    serial: str, limit: str, bad: tuple[str, ...], expected: str, why: str
) -> None:
    summary = fleet.run_on_all("apply", hosts(6), failing(*bad), 1, Watching(), parse_rollout(serial, limit))
    assert not summary.interrupted
    assert statuses(summary) == expected
    reasons = {result.problem for result in summary.results if result.status is Status.SKIPPED}
    assert reasons == ({f"not started: {why}"} if why else set())


def test_hosts_that_are_the_same_node_count_once_in_a_batch() -> None:
    four = [*hosts(2), Host("twin", "192.0.2.0"), Host("n3", "192.0.2.3")]
    watching = Watching()
    summary = fleet.run_on_all("apply", four, fine, 1, watching, parse_rollout("2", ""))
    assert watching.batches == [(1, 2, 2), (2, 2, 1)]
    assert [result.same_as for result in summary.results] == ["", "", "n0", ""]


# One host


def asking(conversation: Conversation, host: Host, _: StepContext) -> NodeResult:
    """The smallest step: a question, which connects."""
    conversation.ask(["scan"])
    return fine(host)


@pytest.fixture
def access() -> Access:
    return Access.of(fabric.Config(), HostKeys.STRICT)


def test_one_host_that_nobody_listens_on_is_unreachable_and_timed(access: Access) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        whom = Host("n1", "127.0.0.1", port=taken.getsockname()[1], ssh=SshOptions(not_honoured=("x=1",)))
        result = fleet.run_on_host(asking, whom, work(hosts=()), access, 5.0)
    assert (result.host, result.status) == ("n1", Status.UNREACHABLE)
    assert "Connection refused" in result.problem
    assert result.notes == ("not honoured: x=1",)
    assert 0 < result.seconds < 5


def test_one_host_whose_options_make_no_sense_is_a_result_too(access: Access) -> None:
    whom = replace(hosts(1)[0], port=-1)
    result = fleet.run_on_host(asking, whom, work(hosts=()), access, 5.0)
    assert result.status in (Status.FAILED, Status.UNREACHABLE)
