"""What the fleet starts from: programs built once, keys, and processes that say when they are ready."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from lab import keys
from lab.cache import cached_file

HERE = Path(__file__).parent
Process = subprocess.Popen[bytes]
Log = IO[bytes]


class FleetError(RuntimeError):
    """The fleet cannot be what it promises on this machine."""


def run(*command: str) -> str:
    """The stdout of a command that has to succeed; what it said otherwise is in the FleetError."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise FleetError(f"{command[0]} is not installed") from error
    if done.returncode:
        raise FleetError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait_until(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Looks until a condition holds, but not for ever: then it is a FleetError that says what did not happen."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise FleetError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.01)


def program(name: str) -> Path:
    """A C program of this folder, compiled when its source was never seen before."""
    source = HERE / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]

    def compile_to(target: Path) -> None:
        run("cc", "-O2", "-Wall", "-o", str(target), str(source))

    return cached_file(f"{name}-{platform.machine()}-{digest}", compile_to)


def rsa_key() -> Path:
    """An RSA host key from the cache: a new one may take a second."""

    def make(target: Path) -> None:
        keys.new_rsa_key(target)

    return cached_file("host-rsa", make)


def start(command: Sequence[str], log: Log) -> tuple[Process, list[str]]:
    """A process that answers "ready ..." on stdout, and the words after that. Its stderr goes to the log.

    It is in a session of its own: Ctrl-C at a test run must reach the run, which then ends its fleet in order.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    assert process.stdout
    said = process.stdout.readline().decode().split()
    if said[:1] != ["ready"]:
        end(process)
        log.seek(0)
        raise FleetError(f"{Path(command[0]).name} did not start: {log.read().decode(errors='replace').strip()}")
    return process, said[1:]


def end(process: Process) -> None:
    """Ends a process that was started here, by force when asking does not help."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()
