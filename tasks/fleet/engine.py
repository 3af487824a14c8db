"""Where hosts are worked on: in threads here, or on the workers of a dask scheduler (--engine)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from tasks.core.host import Host
from tasks.core.result import NodeResult
from tasks.fleet import pool
from tasks.node.context import StepContext
from tasks.node.conversation import NodeStep
from tasks.ssh.route import Access


class Job(NamedTuple):
    """What is done on each host of a run. seconds: the deadline of one host."""

    step: NodeStep
    context: StepContext
    access: Access
    seconds: float


class Engine(Protocol):
    """A way to work on hosts; fleet.run() says on which, and when."""

    def task(self, job: Job) -> Callable[[Host], NodeResult]:
        """What does the job on one host, from any thread; it never raises."""

    def concurrency(self, forks: int) -> int:
        """How many hosts are worked on at a time where --forks says `forks`."""


class Threads:
    """The default: this process."""

    def task(self, job: Job) -> Callable[[Host], NodeResult]:
        """A session to the host from here."""
        return partial(pool.run_on_host, job.step, context=job.context, access=job.access, seconds=job.seconds)

    def concurrency(self, forks: int) -> int:
        """As many as were wanted."""
        return forks
