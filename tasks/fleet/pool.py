"""Work on many hosts, a bounded number at a time. One host's trouble stays its own; Ctrl-C keeps finished results."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Event, Lock, Thread, current_thread, main_thread
from typing import Protocol

from tasks.core.host import Host
from tasks.core.interning import Interner
from tasks.core.inventory.selection import duplicates
from tasks.core.result import NodeResult, RunSummary, Status
from tasks.core.run.batches import Rollout
from tasks.core.run.report import FAILURES
from tasks.core.verb import Verb
from tasks.fleet.slots import Slot, Slots
from tasks.node.results import failure_result

Task = Callable[[Host, Slot], NodeResult]
TICK = 0.1  # seconds between two checks for silent hosts and for Ctrl-C: a signal does not end the main thread's wait


class Progress(Protocol):
    """An observer of a run."""

    def batch(self, number: int, of: int, size: int) -> None:
        """Report that one of several batches is about to start."""

    def started(self, host: str) -> None:
        """Report that a host's connection is about to be opened."""

    def finished(self, result: NodeResult) -> None:
        """Report a host's result."""

    def interrupted(self) -> None:
        """Report a Ctrl-C: no further host starts, those under way finish."""


def run_on_all(
    verb: Verb,
    hosts: Sequence[Host],
    task: Task,
    forks: int,
    progress: Progress,
    rollout: Rollout = Rollout(),  # noqa: B008 # frozen
) -> RunSummary:
    """Run the task on every host, `forks` at a time, batch after batch; results are in the order of hosts.

    A host that has not answered yet does not count for long, see slots.py.

    A host that is the same node as another one is skipped, and so are the hosts that the rollout does not let start. On
    Ctrl-C no new host starts, and those under way finish (each has its deadline); a second Ctrl-C gives up on them.
    """
    start = time.monotonic()
    same_node = duplicates(hosts)
    workers = _WorkerPool(task, progress, [host for host in hosts if host.name not in same_node], rollout, forks)
    with _handle_interrupts(workers.interrupt):
        workers.run()
    names = [host.name for host in hosts]
    results = tuple(_duplicate(name, same_node[name]) if name in same_node else workers.result(name) for name in names)
    return RunSummary(verb, results, time.monotonic() - start, workers.interrupted)


@contextlib.contextmanager
def _handle_interrupts(handle: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C call `handle` instead of raising KeyboardInterrupt at some point of the main thread.

    Nothing changes where Ctrl-C is ignored or has another handler, or outside the main thread.
    """
    ours = current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: handle())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _WorkerPool:
    """Threads that take host after host of a batch, and their results.

    The threads are daemons: those that are given up do not keep the process alive.
    """

    def __init__(self, task: Task, progress: Progress, hosts: Sequence[Host], rollout: Rollout, forks: int) -> None:
        self._task, self._progress, self._hosts, self._rollout = task, progress, hosts, rollout
        self._slots = Slots(max(1, forks))
        self._waiting: deque[Host] = deque()
        self._under_way: set[str] = set()
        self._done: dict[str, NodeResult] = {}
        self._interner = Interner()
        self._failed = self._workers = self._interrupts = 0
        self._stop_reason = ""  # the reason why no further host may start
        self._interrupt_announced = False
        self._lock, self._done_event = Lock(), Event()

    @property
    def interrupted(self) -> bool:
        """True after a Ctrl-C."""
        return self._interrupts > 0

    def interrupt(self) -> None:
        """Start no new host; the second time, give up on those under way.

        Takes no lock: this is a signal handler, and the main thread may hold any lock.
        """
        self._interrupts += 1
        self._waiting.clear()

    def run(self) -> None:
        """Work on all batches, until all is done, stopped or given up."""
        batches = self._rollout.batches(self._hosts)
        for number, batch in enumerate(batches, 1):
            failed = self._failed
            if len(batches) > 1:
                with contextlib.suppress(Exception):
                    self._progress.batch(number, len(batches), len(batch))
            self._run_batch(batch)
            if number < len(batches):
                self._stop_reason = self._failure_limit() or self._rollout.canary_failed(self._failed - failed, batch)
            if self._stop_reason or self._interrupts:
                break

    def _run_batch(self, batch: Sequence[Host]) -> None:
        self._waiting = deque(batch)
        if self._interrupts:  # Ctrl-C came while the batch was put there
            self._waiting.clear()
        self._start_threads()
        while (self._workers or self._waiting) and self._interrupts < 2:
            if self._interrupts and not self._interrupt_announced:
                self._interrupt_announced = True
                with contextlib.suppress(Exception):
                    self._progress.interrupted()
            self._done_event.wait(TICK)
            self._slots.lend_silent()
            self._start_threads()

    def _start_threads(self) -> None:
        """Start a thread for each free slot, but no more than hosts wait."""
        for _ in range(len(self._waiting)):
            if not (slot := self._slots.take()):
                break
            with self._lock:
                self._done_event.clear()
                self._workers += 1
            Thread(target=self._work, args=(slot,), daemon=True).start()

    def _work(self, slot: Slot) -> None:
        try:
            while True:
                host = self._waiting.popleft()
                self._under_way.add(host.name)
                self._finish(self._outcome(host, slot))
                if not slot.keep():
                    break
        except IndexError:  # no host waits any more
            slot.release()
        finally:  # also after an error: a thread that was not counted off would be waited for without end
            with self._lock:
                self._workers -= 1
                if not self._workers:
                    self._done_event.set()

    def _outcome(self, host: Host, slot: Slot) -> NodeResult:
        try:
            self._progress.started(host.name)
            return self._task(host, slot)
        except BaseException as error:  # a panic in cryptography's Rust code is not an Exception
            return failure_result(host, error)

    def _finish(self, result: NodeResult) -> None:
        with self._lock, contextlib.suppress(Exception):  # a progress that fails, on a closed stderr, stops nothing
            self._done[result.host] = self._interner.result(result)
            self._under_way.discard(result.host)
            self._failed += result.status in FAILURES
            if not self._rollout.sizes and (reason := self._failure_limit()):
                self._stop_reason = reason
                self._waiting.clear()
            self._progress.finished(result)

    def _failure_limit(self) -> str:
        return self._rollout.failure_limit_reached(self._failed, len(self._hosts))

    def result(self, name: str) -> NodeResult:
        """Return a host's result; if it has none, one that says why."""
        with self._lock:
            return self._done.get(name) or self._unfinished(name)

    def _unfinished(self, name: str) -> NodeResult:
        if name in self._under_way:
            step = "see how far it came: fab -H NODE plan"
            return NodeResult(name, Status.FAILED, problem="given up before it finished", next_step=step)
        reason = "interrupted before it started" if self._interrupts else self._stop_reason
        return NodeResult(name, Status.SKIPPED, problem=reason)


def _duplicate(name: str, other: str) -> NodeResult:
    return NodeResult(name, Status.SKIPPED, problem=f"the same node as {other}", same_as=other)
