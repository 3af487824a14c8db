"""The interface of an engine, and the default one: threads of this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from tasks.core.host import Host
from tasks.core.result import NodeResult
from tasks.core.sanitize import sanitize
from tasks.fleet.slots import Slot
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation, NodeStep
from tasks.node.results import failure_result
from tasks.ssh.deadline import Deadline
from tasks.ssh.route import Access
from tasks.ssh.session import Session


class Job(NamedTuple):
    """The work to do on each host of a run. seconds: the deadline of one host."""

    step: NodeStep
    context: StepContext
    access: Access
    seconds: float


class Engine(Protocol):
    """A place where hosts are worked on; the pool decides which host is next, and when."""

    def task(self, job: Job) -> Callable[[Host, Slot], NodeResult]:
        """Return a function that does the job on one host; any thread may call it, and it never raises."""

    def concurrency(self, forks: int) -> int:
        """Return the number of hosts to work on at a time, given the value of --forks."""


class Threads:
    """The default engine: a session to each host from this process."""

    def task(self, job: Job) -> Callable[[Host, Slot], NodeResult]:
        """Return run_on_host() for this job."""
        return partial(run_on_host, job)

    def concurrency(self, forks: int) -> int:
        """Return `forks`."""
        return forks


def run_on_host(job: Job, host: Host, slot: Slot | None = None) -> NodeResult:
    """Do a job on one host, from connecting to the result; never raises. slot: to lend while the host is silent."""
    start = time.monotonic()
    try:
        with Session(host, job.access, Deadline(job.seconds), slot.silent if slot else nullcontext) as session:
            result = job.step(Conversation(session), host, job.context)
    except Exception as error:
        result = failure_result(host, error)
    notes = (*result.notes, *(sanitize(f"not honoured: {setting}") for setting in host.ssh.not_honoured))
    return replace(result, notes=notes, seconds=time.monotonic() - start)
