"""Many hosts at once, a bounded number at a time. One host's trouble stays its own; Ctrl-C keeps what is finished."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event, Lock, Thread
from typing import Protocol

from tasks.core.model import Host, NodeResult, RunSummary, Status
from tasks.core.selection import same_node
from tasks.core.text import printable
from tasks.remote.node import Conversation, Step, Work, failure
from tasks.remote.session import Access, Deadline, Session


class Progress(Protocol):
    """What watches a run while it goes on."""

    def started(self, host: str) -> None:
        """A host's connection is about to be opened."""

    def finished(self, result: NodeResult) -> None:
        """A host's result is there."""


def one(step: Step, host: Host, work: Work, access: Access, seconds: float) -> NodeResult:
    """One host from connect to result; never raises."""
    start = time.monotonic()
    try:
        with Session(host, access, Deadline(seconds)) as session:
            result = step(Conversation(session), host, work)
    except Exception as error:
        result = failure(host, error)
    return replace(
        result,
        notes=(*result.notes, *(printable(f"not honoured: {what}") for what in host.ssh.not_honoured)),
        seconds=time.monotonic() - start,
    )


def run(
    verb: str, hosts: Sequence[Host], task: Callable[[Host], NodeResult], forks: int, progress: Progress
) -> RunSummary:
    """Runs the task on every host, `forks` at a time; results in the order of hosts.

    Hosts that are the same node under another name are skipped. On Ctrl-C no new host starts, those under way finish
    (each has its deadline); a second Ctrl-C gives up on them.
    """
    start = time.monotonic()
    twins = same_node(hosts)
    crew = _Crew(task, progress, [host for host in hosts if host.name not in twins])
    interrupted = crew.work(forks)
    found = {name: _skipped(name, f"the same node as {other}") for name, other in twins.items()} | crew.results()
    return RunSummary(verb, tuple(found[host.name] for host in hosts), time.monotonic() - start, interrupted)


class _Crew:
    """Threads that take host after host. Only they keep the books, so a Ctrl-C, which the main thread gets, loses none.

    They are daemons: those that are given up do not hold back the end of the process.
    """

    def __init__(self, task: Callable[[Host], NodeResult], progress: Progress, hosts: Sequence[Host]) -> None:
        self._task, self._progress, self._hosts = task, progress, hosts
        self._waiting = deque(hosts)
        self._started: set[str] = set()
        self._done: dict[str, NodeResult] = {}
        self._members = 0
        self._lock, self._over = Lock(), Event()

    def work(self, forks: int) -> bool:
        """Until all is done or given up; whether it was interrupted."""
        self._members = min(max(1, forks), len(self._hosts))
        for _ in range(self._members):
            Thread(target=self._member, daemon=True).start()
        interrupts = 0
        while self._members and interrupts < 2:
            try:
                # Not Thread.join: after a Ctrl-C, Python 3.11 takes the thread for ended. And not without a limit:
                # a signal that comes just before the wait for a lock does not end that wait.
                self._over.wait(0.5)
            except KeyboardInterrupt:
                interrupts += 1
                self._waiting.clear()
        return interrupts > 0

    def _member(self) -> None:
        try:
            while True:
                host = self._waiting.popleft()
                self._started.add(host.name)
                self._finish(self._outcome(host))
        except IndexError:  # nothing waits any more
            with self._lock:
                self._members -= 1
                if not self._members:
                    self._over.set()

    def _outcome(self, host: Host) -> NodeResult:
        try:
            self._progress.started(host.name)
            return self._task(host)
        except Exception as error:
            return failure(host, error)

    def _finish(self, result: NodeResult) -> None:
        with (
            self._lock,
            contextlib.suppress(Exception),
        ):  # nobody watches any more: a closed stderr is no reason to stop
            self._done[result.host] = result
            self._progress.finished(result)

    def results(self) -> dict[str, NodeResult]:
        """Each host's result by its name, so far."""
        with self._lock:
            return {host.name: self._done.get(host.name) or self._given_up(host.name) for host in self._hosts}

    def _given_up(self, name: str) -> NodeResult:
        return _skipped(name, f"interrupted before it {'finished' if name in self._started else 'started'}")


def _skipped(name: str, why: str) -> NodeResult:
    return NodeResult(name, Status.SKIPPED, problem=why)
