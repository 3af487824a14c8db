"""Where hosts are worked on: in threads here, or on the workers of a dask scheduler (--engine)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from tasks.core.errors import UsageError
from tasks.core.model import Host, NodeResult
from tasks.core.secrets import without_secrets
from tasks.remote import fleet
from tasks.remote.node import Step, Work
from tasks.remote.route import Access

THREADS = "threads"
DASK = "dask="


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


@contextlib.contextmanager
def named(name: str) -> Iterator[Engine]:
    """The engine that --engine names, ready to work. Raises UsageError before any node is connected to."""
    if not name.startswith(DASK):
        yield Threads()
        return
    from tasks.remote.dask import connected  # noqa: PLC0415 # an optional requirement

    with connected(name.removeprefix(DASK)) as workers:
        yield workers


def prepared(name: str, hosts: Sequence[Host], *, secrets: bool) -> tuple[Host, ...]:
    """The hosts as that engine may have them: to dask workers no secret travels. Raises UsageError for a password that
    would have to, and for what is no engine. secrets: whether fab itself was given one."""
    if name == THREADS:
        return tuple(hosts)
    if not name.startswith((f"{DASK}tcp://", f"{DASK}tls://")):
        raise UsageError(f"--engine: expected threads, or dask=tcp://HOST:PORT (or tls://), got {name!r}")
    holders = [host.name for host in hosts if host.become.password or host.ssh.password]
    if secrets or holders:
        whose = holders[0] if holders else "the command line"
        raise UsageError(
            f"--engine: no password travels to dask workers, and {whose} has one: set FABRIC_SUDO_PASSWORD where they"
            " run, or use keys, and sudo without a password"
        )
    return tuple(replace(host, variables=without_secrets(host.variables)) for host in hosts)
