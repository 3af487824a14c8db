"""Many hosts at once, a bounded number at a time. One host's trouble stays its own; Ctrl-C keeps what is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Protocol

from tasks.core.model import Host, NodeResult, RunSummary, Status
from tasks.core.selection import same_node
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
        notes=(*result.notes, *(f"not honoured: {what}" for what in host.ssh.not_honoured)),
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
    done = {name: _skipped(name, f"the same node as {other}") for name, other in twins.items()}
    interrupted = False
    pool = ThreadPoolExecutor(max_workers=max(1, forks), thread_name_prefix="node")
    pending = {pool.submit(_watched, task, host, progress): host for host in hosts if host.name not in done}
    while pending:
        try:
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            _collect(finished, pending, done, progress)
        except KeyboardInterrupt:
            if interrupted:
                break
            interrupted = True
            _cancel(pending, done)
    done |= {host.name: _skipped(host.name, "interrupted before it finished") for host in pending.values()}
    pool.shutdown(wait=not pending, cancel_futures=True)
    return RunSummary(verb, tuple(done[host.name] for host in hosts), time.monotonic() - start, interrupted)


def _watched(task: Callable[[Host], NodeResult], host: Host, progress: Progress) -> NodeResult:
    progress.started(host.name)
    return task(host)


def _collect(
    finished: Iterable[Future[NodeResult]],
    pending: dict[Future[NodeResult], Host],
    done: dict[str, NodeResult],
    progress: Progress,
) -> None:
    for future in finished:
        result = future.result()
        done[result.host] = result
        del pending[future]
        progress.finished(result)


def _cancel(pending: dict[Future[NodeResult], Host], done: dict[str, NodeResult]) -> None:
    """Takes back what has not started yet."""
    for future in [future for future in pending if future.cancel()]:
        host = pending.pop(future)
        done[host.name] = _skipped(host.name, "interrupted before it started")


def _skipped(name: str, why: str) -> NodeResult:
    return NodeResult(name, Status.SKIPPED, problem=why)
