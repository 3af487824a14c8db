"""The engines that --engine can name."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import NamedTuple

from tasks.core.errors import UsageError
from tasks.core.host import Host
from tasks.core.redact import redact_variables
from tasks.fleet.engine import Engine, Threads


@contextlib.contextmanager
def _open_threads(_: str) -> Iterator[Engine]:
    yield Threads()


@contextlib.contextmanager
def _open_dask(address: str) -> Iterator[Engine]:
    from tasks.fleet.dask import connect  # noqa: PLC0415 # an optional requirement

    with connect(address) as workers:
        yield workers


class EngineKind(NamedTuple):
    """A row of ENGINES.

    pattern: matches the values of --engine that select it; its group, if any, is the address that `open` gets. usage:
    that value in an error message. travels: True if hosts are sent to other machines, where no secret may go.
    """

    pattern: str
    usage: str
    open: Callable[[str], AbstractContextManager[Engine]]
    travels: bool


ENGINES = (
    EngineKind(r"threads()", "threads", _open_threads, travels=False),
    EngineKind(r"dask=((?:tcp|tls)://.*)", "dask=tcp://HOST:PORT (or tls://)", _open_dask, travels=True),
)


def _find_kind(value: str) -> tuple[EngineKind, str]:
    """Return the row for a value of --engine, and the address in it. Raises UsageError if no row matches."""
    for kind in ENGINES:
        if match := re.fullmatch(kind.pattern, value, re.DOTALL):
            return kind, match[1]
    raise UsageError(f"--engine: expected {', or '.join(kind.usage for kind in ENGINES)}, got {value!r}")


def open_engine(value: str) -> AbstractContextManager[Engine]:
    """Open the engine that --engine names. Raises UsageError before any node is connected to."""
    kind, address = _find_kind(value)
    return kind.open(address)


def hosts_for_engine(value: str, hosts: Sequence[Host], *, secrets: bool) -> tuple[Host, ...]:
    """Return the hosts without what must not travel to the engine that --engine names.

    secrets: True if fab itself was given a password or a passphrase. Raises UsageError for an unknown engine, and for a
    password that would have to travel.
    """
    if not _find_kind(value)[0].travels:
        return tuple(hosts)
    holders = [host.name for host in hosts if host.become.password or host.ssh.password]
    if secrets or holders:
        owner = holders[0] if holders else "the command line"
        raise UsageError(
            f"--engine: no password travels to dask workers, and {owner} has one: set FABRIC_SUDO_PASSWORD where they"
            " run, or use keys, and sudo without a password"
        )
    return tuple(replace(host, variables=redact_variables(host.variables)) for host in hosts)
