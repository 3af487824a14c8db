"""Many hosts at once: their number and order; neither trouble nor Ctrl-C costs a result."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from threading import Barrier, Event, Lock

import pytest

from tasks.core.host import Host
from tasks.core.result import NodeResult, RunSummary, Status
from tasks.core.run.batches import parse_rollout
from tasks.fleet import pool, slots
from tasks.fleet.slots import Slot
from tests.support.verbs import VERBS

SECONDS = 10.0


class RecordingProgress:
    """A Progress that records its calls."""

    def __init__(self) -> None:
        self.started_hosts: list[str] = []
        self.finished_hosts: list[str] = []
        self.batches: list[tuple[int, int, int]] = []
        self.interrupt_reported = Event()

    def batch(self, number: int, of: int, size: int) -> None:
        """Record the call."""
        self.batches.append((number, of, size))

    def started(self, host: str) -> None:
        """Record the call."""
        self.started_hosts.append(host)

    def finished(self, result: NodeResult) -> None:
        """Record the call."""
        self.finished_hosts.append(result.host)

    def interrupted(self) -> None:
        """Record the call."""
        self.interrupt_reported.set()


def hosts(count: int) -> list[Host]:
    return [Host(f"n{number}", f"192.0.2.{number}") for number in range(count)]


def fine(host: Host, _: Slot) -> NodeResult:
    return NodeResult(host.name, Status.OK)


def test_results_come_in_the_order_of_the_hosts_however_they_finish() -> None:
    last_done = Event()

    def task(host: Host, _: Slot) -> NodeResult:
        if host.name == "n4":
            last_done.set()
        else:
            assert last_done.wait(SECONDS)
        return fine(host, _)

    progress = RecordingProgress()
    summary = pool.run_on_all(VERBS["plan"], hosts(5), task, 5, progress)
    assert [result.host for result in summary.results] == ["n0", "n1", "n2", "n3", "n4"]
    assert (summary.verb.name, summary.interrupted, progress.finished_hosts[0]) == ("plan", False, "n4")
    assert (
        Counter(progress.started_hosts) == Counter(progress.finished_hosts) == Counter(host.name for host in hosts(5))
    )


@pytest.mark.parametrize("forks", [1, 3, 100, 0])
def test_no_more_hosts_than_forks_are_worked_on_at_once_and_no_fewer(forks: int) -> None:
    at_once = max(1, min(forks, 6))
    together, lock, inside, most = Barrier(at_once), Lock(), 0, 0

    def task(host: Host, _: Slot) -> NodeResult:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        together.wait(SECONDS)
        with lock:
            inside -= 1
        return fine(host, _)

    summary = pool.run_on_all(VERBS["plan"], hosts(6), task, forks, RecordingProgress())
    assert {result.status for result in summary.results} == {Status.OK}
    assert most == at_once


def test_an_exception_of_one_host_is_its_result_and_nobody_elses() -> None:
    def task(host: Host, _: Slot) -> NodeResult:
        if host.name == "n1":
            raise RuntimeError("oops")
        return fine(host, _)

    summary = pool.run_on_all(VERBS["plan"], hosts(3), task, 1, RecordingProgress())
    assert [str(result.status) for result in summary.results] == ["ok", "failed", "ok"]
    assert summary.results[1].problem == "RuntimeError: oops"


@pytest.mark.parametrize("error", [OSError("closed"), ValueError("I/O operation on closed file"), IndexError("x")])
def test_a_progress_that_fails_is_no_reason_to_stop(error: Exception) -> None:
    class Broken(RecordingProgress):
        def finished(self, result: NodeResult) -> None:
            raise error

    summary = pool.run_on_all(VERBS["plan"], hosts(3), fine, 2, Broken())
    assert [str(result.status) for result in summary.results] == ["ok"] * 3


def test_a_base_exception_is_that_hosts_result_too() -> None:
    """A worker thread that died without being counted off was waited for without end."""

    class Panic(BaseException):
        pass

    def task(host: Host, _: Slot) -> NodeResult:
        if host.name == "n1":
            raise Panic("out of order")
        return fine(host, _)

    summary = pool.run_on_all(VERBS["plan"], hosts(3), task, 3, RecordingProgress())
    assert [result.status for result in summary.results] == [Status.OK, Status.FAILED, Status.OK]
    assert summary.results[1].problem == "Panic: out of order"


def test_the_same_node_under_two_names_is_worked_on_once() -> None:
    same = [Host("a", "192.0.2.1"), Host("b", "192.0.2.1"), Host("c", "192.0.2.1", port=2222)]
    progress = RecordingProgress()
    summary = pool.run_on_all(VERBS["apply"], same, fine, 5, progress)
    assert [str(result.status) for result in summary.results] == ["ok", "skipped", "ok"]
    assert summary.results[1].problem == "the same node as a"
    assert sorted(progress.started_hosts) == ["a", "c"]


def test_no_hosts_are_no_trouble() -> None:
    assert pool.run_on_all(VERBS["plan"], [], fine, 5, RecordingProgress()).results == ()


# Ctrl-C


def interrupt() -> None:
    """Send Ctrl-C from a host that is worked on."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


in_main = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="Ctrl-C goes to the main thread"
)


def handled_interrupts(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Return an event for the first and the second Ctrl-C, each set once it has been handled."""
    handled, real = [Event(), Event()], pool._WorkerPool.interrupt

    def interrupt(workers: pool._WorkerPool) -> None:
        real(workers)
        handled[workers._interrupts - 1].set()

    monkeypatch.setattr(pool._WorkerPool, "interrupt", interrupt)
    return handled


@in_main
def test_after_ctrl_c_no_host_starts_and_those_under_way_finish() -> None:
    progress = RecordingProgress()

    def task(host: Host, _: Slot) -> NodeResult:
        if host.name == "n1":
            interrupt()
            assert progress.interrupt_reported.wait(SECONDS)  # reported while they are under way
        return fine(host, _)

    summary = pool.run_on_all(VERBS["apply"], hosts(4), task, 1, progress)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert summary.interrupted
    assert [str(result.status) for result in summary.results] == ["ok", "ok", "skipped", "skipped"]
    assert {result.problem for result in summary.results[2:]} == {"interrupted before it started"}


@in_main
def test_a_second_ctrl_c_gives_up_on_those_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    handled, over = handled_interrupts(monkeypatch), Event()

    def task(host: Host, _: Slot) -> NodeResult:
        if host.name == "n1":
            interrupt()
            assert handled[0].wait(SECONDS)
            interrupt()
            assert over.wait(SECONDS)
        return fine(host, _)

    try:
        summary = pool.run_on_all(VERBS["apply"], hosts(4), task, 1, RecordingProgress())
    finally:
        over.set()
    assert [str(result.status) for result in summary.results] == ["ok", "failed", "skipped", "skipped"]
    assert summary.results[1].problem == "given up before it finished"  # skipped would say that nothing was done


@in_main
def test_after_ctrl_c_no_further_batch_starts() -> None:
    def task(host: Host, _: Slot) -> NodeResult:
        interrupt()
        return fine(host, _)

    progress = RecordingProgress()
    summary = pool.run_on_all(VERBS["apply"], hosts(4), task, 4, progress, parse_rollout("2", ""))
    assert {result.problem for result in summary.results[2:]} == {"interrupted before it started"}
    assert progress.batches == [(1, 2, 2)]


@in_main
def test_a_ctrl_c_while_a_batch_is_announced_starts_none_of_it() -> None:
    class Interrupting(RecordingProgress):
        def batch(self, number: int, of: int, size: int) -> None:
            if number == 2:
                signal.raise_signal(signal.SIGINT)

    summary = pool.run_on_all(VERBS["apply"], hosts(4), fine, 4, Interrupting(), parse_rollout("2", ""))
    assert [str(result.status) for result in summary.results] == ["ok", "ok", "skipped", "skipped"]


# Batches


def failing(*names: str) -> pool.Task:
    """Return a task on which the hosts of these names fail if their number is even, else are unreachable."""

    def task(host: Host, _: Slot) -> NodeResult:
        bad = Status.FAILED if int(host.name[1:]) % 2 == 0 else Status.UNREACHABLE
        return NodeResult(host.name, bad if host.name in names else Status.OK)

    return task


def statuses(summary: RunSummary) -> str:
    """Return one letter for each host: ok, failed, unreachable, skipped."""
    return "".join(result.status[0] for result in summary.results)


def test_a_batch_starts_when_the_one_before_is_done() -> None:
    working, lock, seen = set[str](), Lock(), list[set[str]]()

    def task(host: Host, _: Slot) -> NodeResult:
        with lock:
            working.add(host.name)
            seen.append(set(working))
        return fine(host, _)

    class Between(RecordingProgress):
        def batch(self, number: int, of: int, size: int) -> None:
            super().batch(number, of, size)
            working.clear()

    progress = Between()
    summary = pool.run_on_all(VERBS["apply"], hosts(7), task, 9, progress, parse_rollout("1,2,50%", ""))
    assert statuses(summary) == "o" * 7
    assert progress.batches == [(1, 4, 1), (2, 4, 2), (3, 4, 3), (4, 4, 1)]
    groups = [{"n0"}, {"n1", "n2"}, {"n3", "n4", "n5"}, {"n6"}]
    assert all(any(now <= group for group in groups) for now in seen)


def test_a_single_batch_is_not_announced() -> None:
    progress = RecordingProgress()
    pool.run_on_all(VERBS["apply"], hosts(3), fine, 1, progress)
    assert progress.batches == []


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
    summary = pool.run_on_all(
        VERBS["apply"], hosts(6), failing(*bad), 1, RecordingProgress(), parse_rollout(serial, limit)
    )
    assert not summary.interrupted
    assert statuses(summary) == expected
    reasons = {result.problem for result in summary.results if result.status is Status.SKIPPED}
    assert reasons == ({f"not started: {why}"} if why else set())


def test_hosts_that_are_the_same_node_count_once_in_a_batch() -> None:
    four = [*hosts(2), Host("twin", "192.0.2.0"), Host("n3", "192.0.2.3")]
    progress = RecordingProgress()
    summary = pool.run_on_all(VERBS["apply"], four, fine, 1, progress, parse_rollout("2", ""))
    assert progress.batches == [(1, 2, 2), (2, 2, 1)]
    assert [result.same_as for result in summary.results] == ["", "", "n0", ""]


# Hosts that do not answer


def test_silent_hosts_hold_up_nobody_and_no_more_than_forks_are_worked_on() -> None:
    """Ten of twelve hosts say nothing until the healthy ones are done, then all speak at once."""
    done, lock, inside, most = Event(), Lock(), 0, 0

    def task(host: Host, slot: Slot) -> NodeResult:
        nonlocal inside, most
        if host.name not in ("n10", "n11"):
            with slot.silent(0):
                assert done.wait(SECONDS)
        elif host.name == "n11":
            done.set()
        with lock:
            inside += 1
            most = max(most, inside)
        Event().wait(0.01)
        with lock:
            inside -= 1
        return fine(host, slot)

    summary = pool.run_on_all(VERBS["plan"], hosts(12), task, 2, RecordingProgress())
    assert statuses(summary) == "o" * 12
    assert most <= 2


def test_one_fork_is_one_host_at_a_time_even_if_it_is_silent() -> None:
    order: list[str] = []

    def task(host: Host, slot: Slot) -> NodeResult:
        with slot.silent(0):
            order.append(host.name)
            Event().wait(3 * pool.TICK if host.name == "n0" else 0)
        order.append(host.name)
        return fine(host, slot)

    pool.run_on_all(VERBS["plan"], hosts(3), task, 1, RecordingProgress())
    assert order == ["n0", "n0", "n1", "n1", "n2", "n2"]


def test_the_number_of_silent_hosts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two with a slot and three without are under way when the pool has looked for silent ones five times more."""
    monkeypatch.setattr(slots, "MAX_SILENT", 3)
    lock, together, looked, looks, inside, most = Lock(), Event(), Event(), list[int](), 0, 0
    lend = slots.Slots.lend_silent

    def look(some: slots.Slots) -> None:
        lend(some)
        if together.is_set():
            looks.append(1)
        if len(looks) > 5:
            looked.set()

    def task(host: Host, slot: Slot) -> NodeResult:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside == 5:
                together.set()
        try:
            with slot.silent(0):
                assert looked.wait(SECONDS)
                raise OSError("no answer")
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(slots.Slots, "lend_silent", look)
    summary = pool.run_on_all(VERBS["plan"], hosts(20), task, 2, RecordingProgress())
    assert {result.problem for result in summary.results} == {"OSError: no answer"}
    assert most == 5


@in_main
def test_after_ctrl_c_a_silent_host_comes_to_its_end_and_no_other_starts() -> None:
    progress = RecordingProgress()

    def task(host: Host, slot: Slot) -> NodeResult:
        with slot.silent(0):
            if host.name == "n1":
                interrupt()
            assert progress.interrupt_reported.wait(SECONDS)
        return fine(host, slot)

    summary = pool.run_on_all(VERBS["apply"], hosts(3), task, 2, progress)
    assert statuses(summary) == "oos"
