"""The engine `--engine dask=tcp://scheduler:8786`: each host is one task for the workers of a dask scheduler.

The workers run this same code from a checkout of their own, with their own keys, ssh_config, known_hosts and sudo
password. Sent to them are the hosts' names, addresses, users and routes (paths of keys, not keys), the variables that
are not secrets, the profiles, and the flags. If a worker dies, another worker takes its hosts; that is safe, because
apply reads the state of a node before it changes anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import fabric

from tasks.core.errors import RemoteError, UsageError
from tasks.core.host import Host, HostKeys
from tasks.core.redact import Secret, parse_password
from tasks.core.result import NodeResult
from tasks.fleet.engine import Job, run_on_host
from tasks.fleet.result_json import decode_result, encode_result
from tasks.fleet.slots import Slot
from tasks.fleet.unpickling import code_free_pickles, replaced
from tasks.node.context import StepContext
from tasks.node.conversation import NodeStep
from tasks.node.results import failure_result
from tasks.ssh.config import load_ssh_config
from tasks.ssh.route import Access

CODE = Path(__file__).resolve().parents[1]
CONNECT_TIMEOUT = 10  # seconds for the scheduler to answer
POLL_SECONDS = 5.0  # between two checks that any worker is left, while a host's result is awaited
ATTEMPTS = 4  # dask gives a task up after the third death of a worker that has it


@dataclass(frozen=True, slots=True)
class JobPayload:
    """The part of a job that is sent to each worker once.

    key_files: paths of -i, to be found on the worker. code: the digest of the code that the worker must run.
    """

    step: NodeStep
    context: StepContext
    host_keys: HostKeys | None
    key_files: tuple[str, ...]
    seconds: float
    code: str


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return a digest of all code that has a part in working on a host."""
    digest = hashlib.sha256()
    for path in sorted(CODE.rglob("*")):
        if path.suffix in (".py", ".sh"):
            digest.update(f"{path.relative_to(CODE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def run_on_worker(payload: JobPayload, host: Host) -> str:
    """Work on one host, in the worker that calls this; return its result as JSON. Never raises."""
    try:
        if payload.code != code_digest():
            raise RemoteError(
                f"the dask worker runs other code: expected {payload.code}, got {code_digest()}", _SAME_CODE
            )
        access, password = _worker_access(payload.key_files, payload.host_keys)
        context = replace(payload.context, password=password)
        result = run_on_host(Job(payload.step, context, access, payload.seconds), host)
    except Exception as error:
        result = failure_result(host, error)
    return encode_result(result)


def _payload(payload: JobPayload) -> JobPayload:
    return payload


_SAME_CODE = "bring the checkout there to the same version, and start the worker again"


@lru_cache(maxsize=8)
def _worker_access(key_files: tuple[str, ...], host_keys: HostKeys | None) -> tuple[Access, Secret | None]:
    """Return the worker's own access to hosts, with the keys of -i, and its own sudo password."""
    config = fabric.Config(overrides={"connect_kwargs": {"key_filename": list(key_files)}} if key_files else {})
    config.load_shell_env()
    try:
        password = parse_password(str(config.sudo.get("password") or ""))
    except ValueError as error:
        raise RemoteError(f"the dask worker's sudo password: {error}", "correct its FABRIC_SUDO_PASSWORD") from None
    return Access.of(config, host_keys, load_ssh_config(config)), password


class Workers:
    """The workers of one scheduler, as an Engine."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._last_answer = 0.0  # when any host's result came, on the monotonic clock

    def concurrency(self, forks: int) -> int:
        """Return the number of the workers' threads, of each worker no more than `forks`."""
        return sum(min(forks, threads) for threads in self._client.nthreads().values())

    def task(self, job: Job) -> Callable[[Host, Slot], NodeResult]:
        """Send the job to the workers once, and return a function that has one of them work on a host."""
        keys = job.access.login.get("key_filename") or ()
        payload = JobPayload(
            job.step,
            job.context,
            job.access.host_keys,
            (keys,) if isinstance(keys, str) else tuple(keys),
            job.seconds,
            code_digest(),
        )
        # Sent as a task: scattered data is lost with the workers that hold it.
        sent = self._client.submit(_payload, payload, pure=False)

        def run(host: Host, _: Slot) -> NodeResult:
            try:
                text = self._wait_for(self._client.submit(run_on_worker, sent, host, pure=False), job.seconds)
                return decode_result(text, host.name)
            except Exception as error:
                return failure_result(host, _as_remote_error(error))

        return run

    def _wait_for(self, future: Any, seconds: float) -> object:
        """Return a future's value. Raises RemoteError if no worker is left, or if none answers for any host.

        seconds: the deadline of one host. A host may wait behind others on the last worker, but then those finish.
        """
        missing = 0  # polls in a row that found no worker; one that is being restarted takes a moment
        start = time.monotonic()
        while missing < 2:
            with contextlib.suppress(TimeoutError):
                value: object = future.result(timeout=POLL_SECONDS)
                self._last_answer = time.monotonic()
                return value
            missing = 0 if self._client.nthreads() else missing + 1
            if time.monotonic() - max(start, self._last_answer) > ATTEMPTS * seconds:
                raise RemoteError(f"no dask worker at {self._address} answers", "look at the workers' logs")
        raise RemoteError(f"no dask worker is left at {self._address}", "start some, and run again")


def _as_remote_error(error: Exception) -> Exception:
    """Return an error that names dask as the source of the trouble."""
    if isinstance(error, RemoteError):
        return error
    kind = type(error).__name__
    if kind == "KilledWorker":
        return RemoteError("every dask worker that took it died", "look at the workers' logs")
    if isinstance(error, ValueError):
        return RemoteError(f"the dask worker's answer is not a result: {error}", "look at the worker, and its log")
    return RemoteError(f"dask: {kind}: {error}", "look at the scheduler's and the workers' logs")


@contextlib.contextmanager
def connect(address: str) -> Iterator[Workers]:
    """Connect to the scheduler at an address. Raises UsageError if it has no workers, or if they run other code.

    Nothing that comes back is executed here, and no worker prints here: see unpickling.py.
    """
    try:
        import distributed  # noqa: PLC0415 # an optional requirement
    except ImportError as error:
        raise UsageError("--engine dask needs dask.distributed: pip install -r requirements-dask.txt") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)  # the summary reports what happens to hosts
    with code_free_pickles(), replaced(distributed.Client, _default_event_handlers={}):
        yield from _connect(distributed, address)


def _connect(distributed: Any, address: str) -> Iterator[Workers]:
    try:
        client = distributed.Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--engine: no dask scheduler answers at {address}: {error}") from error
    with client:
        _check_code(client, address)
        yield Workers(client, address)


def _check_code(client: Any, address: str) -> None:
    """Raise UsageError unless the scheduler and all workers run this same code.

    The scheduler needs the project, too, because it deserializes what is sent to the workers.
    """
    try:
        found = {"the scheduler": client.run_on_scheduler(code_digest), **client.run(code_digest)}
    except Exception as error:
        problem = f"the scheduler or a worker at {address} does not have this project: {type(error).__name__}: {error}"
        raise UsageError(f"--engine: {problem}; start scheduler and workers in its folder with PYTHONPATH=.") from error
    if len(found) < 2:
        raise UsageError(f"--engine: the scheduler at {address} has no workers")
    for process, version in found.items():
        if version != code_digest():
            got = str(version)[:80]
            raise UsageError(f"--engine: {process} runs other code: expected {code_digest()}, got {got}; {_SAME_CODE}")
