"""From the words of --engine to an engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tasks.core.errors import UsageError
from tasks.core.host import Host
from tasks.core.redact import redact_variables
from tasks.fleet.engine import Engine, Threads

THREADS = "threads"
DASK = "dask="


@contextlib.contextmanager
def open_engine(name: str) -> Iterator[Engine]:
    """The engine that --engine names, ready to work. Raises UsageError before any node is connected to."""
    if not name.startswith(DASK):
        yield Threads()
        return
    from tasks.fleet.dask import connect  # noqa: PLC0415 # an optional requirement

    with connect(name.removeprefix(DASK)) as workers:
        yield workers


def hosts_for_engine(name: str, hosts: Sequence[Host], *, secrets: bool) -> tuple[Host, ...]:
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
    return tuple(replace(host, variables=redact_variables(host.variables)) for host in hosts)
