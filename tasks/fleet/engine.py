"""Where hosts are worked on: in threads here, or on the workers of a dask scheduler (--engine)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from tasks.core.host import Host
from tasks.core.result import NodeResult
from tasks.fleet import pool as fleet
from tasks.node.conversation import Step
from tasks.node.work import Work
from tasks.ssh.route import Access


class Job(NamedTuple):
    """What is done on each host of a run. seconds: the deadline of one host."""

    step: Step
    work: Work
    access: Access
    seconds: float


class Engine(Protocol):
    """A way to work on hosts; fleet.run() says on which, and when."""

    def task(self, job: Job) -> Callable[[Host], NodeResult]:
        """What does the job on one host, from any thread; it never raises."""

    def at_once(self, forks: int) -> int:
        """How many hosts are worked on at a time where --forks says `forks`."""


class Threads:
    """The default: this process."""

    def task(self, job: Job) -> Callable[[Host], NodeResult]:
        """A session to the host from here."""
        return partial(fleet.one, job.step, work=job.work, access=job.access, seconds=job.seconds)

    def at_once(self, forks: int) -> int:
        """As many as were wanted."""
        return forks
