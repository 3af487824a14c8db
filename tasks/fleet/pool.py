"""Many hosts at once, a bounded number at a time. One host's trouble stays its own; Ctrl-C keeps what is finished."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Event, Lock, Thread, current_thread, main_thread
from typing import Protocol

from tasks.core.host import Host
from tasks.core.interning import Interner
from tasks.core.inventory.selection import duplicates
from tasks.core.result import NodeResult, RunSummary, Status
from tasks.core.run.batches import Rollout
from tasks.core.run.report import FAILURES
from tasks.core.sanitize import sanitize
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation, NodeStep
from tasks.node.results import failure_result
from tasks.ssh.deadline import Deadline
from tasks.ssh.route import Access
from tasks.ssh.session import Session


class Progress(Protocol):
    """What watches a run while it goes on."""

    def batch(self, number: int, of: int, size: int) -> None:
        """One of several batches is about to start."""

    def started(self, host: str) -> None:
        """A host's connection is about to be opened."""

    def finished(self, result: NodeResult) -> None:
        """A host's result is there."""

    def interrupted(self) -> None:
        """Ctrl-C: no further host starts, those under way finish."""


def run_on_host(step: NodeStep, host: Host, context: StepContext, access: Access, seconds: float) -> NodeResult:
    """One host from connect to result; never raises."""
    start = time.monotonic()
    try:
        with Session(host, access, Deadline(seconds)) as session:
            result = step(Conversation(session), host, context)
    except Exception as error:
        result = failure_result(host, error)
    return replace(
        result,
        notes=(*result.notes, *(sanitize(f"not honoured: {what}") for what in host.ssh.not_honoured)),
        seconds=time.monotonic() - start,
    )


def run_on_all(
    verb: str,
    hosts: Sequence[Host],
    task: Callable[[Host], NodeResult],
    forks: int,
    progress: Progress,
    pace: Rollout = Rollout(),  # noqa: B008 # frozen
) -> RunSummary:
    """Runs the task on every host, `forks` at a time, batch after batch; results in the order of hosts.

    Hosts that are the same node under another name are skipped, and so are those that the pace does not let start. On
    Ctrl-C no new host starts, those under way finish (each has its deadline); a second Ctrl-C gives up on them.
    """
    start = time.monotonic()
    twins = duplicates(hosts)
    crew = _WorkerPool(task, progress, [host for host in hosts if host.name not in twins], pace)
    with _handle_interrupts(crew.interrupt):
        crew.context(forks)
    names = [host.name for host in hosts]
    results = tuple(_duplicate(name, twins[name]) if name in twins else crew.result(name) for name in names)
    return RunSummary(verb, results, time.monotonic() - start, crew.interrupted)


@contextlib.contextmanager
def _handle_interrupts(act: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `act` instead of raising KeyboardInterrupt, which would hit whatever the main thread is doing.

    Where Ctrl-C is ignored or somebody else's (or this is no main thread), it stays so.
    """
    ours = current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _WorkerPool:
    """Threads that take host after host of a batch, and keep the books.

    They are daemons: those that are given up do not hold back the end of the process.
    """

    def __init__(
        self, task: Callable[[Host], NodeResult], progress: Progress, hosts: Sequence[Host], pace: Rollout
    ) -> None:
        self._task, self._progress, self._hosts, self._pace = task, progress, hosts, pace
        self._waiting: deque[Host] = deque()
        self._under_way: set[str] = set()
        self._done: dict[str, NodeResult] = {}
        self._pool = Interner()
        self._failed = self._workers = self._interrupts = 0
        self._stopped = ""  # why no further host may start
        self._interrupt_announced = False  # whether it was said what Ctrl-C has done
        self._lock, self._done_event = Lock(), Event()

    @property
    def interrupted(self) -> bool:
        """Whether somebody wanted it to end early."""
        return self._interrupts > 0

    def interrupt(self) -> None:
        """No new host starts; the second time, those under way are given up. Takes no lock: it is a signal's handler,
        and the main thread may hold any."""
        self._interrupts += 1
        self._waiting.clear()

    def context(self, forks: int) -> None:
        """Until all is done, or may not go on, or is given up."""
        batches = self._pace.batches(self._hosts)
        for number, batch in enumerate(batches, 1):
            failed = self._failed
            if len(batches) > 1:
                with contextlib.suppress(Exception):
                    self._progress.batch(number, len(batches), len(batch))
            self._work_on(batch, forks)
            if number < len(batches):
                self._stopped = self._failure_limit() or self._pace.canary_failed(self._failed - failed, batch)
            if self._stopped or self._interrupts:
                break

    def _work_on(self, batch: Sequence[Host], forks: int) -> None:
        self._waiting = deque(batch)
        if self._interrupts:  # while the batch was put there
            self._waiting.clear()
        self._done_event.clear()
        self._workers = min(max(1, forks), len(batch))
        for _ in range(self._workers):
            Thread(target=self._work_off, daemon=True).start()
        while self._workers and self._interrupts < 2:
            if self._interrupts and not self._interrupt_announced:
                self._interrupt_announced = True
                with contextlib.suppress(Exception):
                    self._progress.interrupted()
            self._done_event.wait(0.1)  # a signal does not end the wait

    def _work_off(self) -> None:
        try:
            while True:
                host = self._waiting.popleft()
                self._under_way.add(host.name)
                self._finish(self._outcome(host))
        except IndexError:  # nothing waits any more
            pass
        finally:  # whatever ended it: the others are waited for, it is not
            with self._lock:
                self._workers -= 1
                if not self._workers:
                    self._done_event.set()

    def _outcome(self, host: Host) -> NodeResult:
        try:
            self._progress.started(host.name)
            return self._task(host)
        except BaseException as error:  # a panic in cryptography's Rust is no Exception
            return failure_result(host, error)

    def _finish(self, result: NodeResult) -> None:
        with (
            self._lock,
            contextlib.suppress(Exception),
        ):  # nobody watches any more: a closed stderr is no reason to stop
            self._done[result.host] = self._pool.result(result)
            self._under_way.discard(result.host)
            self._failed += result.status in FAILURES
            if not self._pace.sizes and (why := self._failure_limit()):
                self._stopped = why
                self._waiting.clear()
            self._progress.finished(result)

    def _failure_limit(self) -> str:
        return self._pace.failure_limit_reached(self._failed, len(self._hosts))

    def result(self, name: str) -> NodeResult:
        """A host's result, so far."""
        with self._lock:
            return self._done.get(name) or self._not_done(name)

    def _not_done(self, name: str) -> NodeResult:
        if name in self._under_way:
            step = "see how far it came: fab -H NODE plan"
            return NodeResult(name, Status.FAILED, problem="given up before it finished", next_step=step)
        return _skipped(name, "interrupted before it started" if self._interrupts else self._stopped)


def _skipped(name: str, why: str) -> NodeResult:
    return NodeResult(name, Status.SKIPPED, problem=why)


def _duplicate(name: str, other: str) -> NodeResult:
    return NodeResult(name, Status.SKIPPED, problem=f"the same node as {other}", same_as=other)
