"""Compile the fleet's programs, and start and end its processes."""

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
    """Say that a fleet cannot start or go on on this machine, and why."""


def run(*command: str) -> str:
    """Run a command and return its stdout. Raises FleetError with its stderr if it fails or is not installed."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise FleetError(f"{command[0]} is not installed") from error
    if done.returncode:
        raise FleetError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait_until(condition: Callable[[], bool], problem: str, seconds: float = 10) -> None:
    """Wait until a condition holds. Raises FleetError with the problem if it does not within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise FleetError(f"waited {seconds:g} s in vain: {problem}")
        time.sleep(0.01)


def program(name: str) -> Path:
    """Return the path of a C program of this folder, compiled unless the cache has it from the same source."""
    source = HERE / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]

    def compile_to(target: Path) -> None:
        run("cc", "-O2", "-Wall", "-o", str(target), str(source))

    return cached_file(f"{name}-{platform.machine()}-{digest}", compile_to)


def rsa_key() -> Path:
    """Return the path of an RSA host key in the cache, where it stays: a new one may take a second."""

    def make(target: Path) -> None:
        keys.new_rsa_key(target)

    return cached_file("host-rsa", make)


def start(command: Sequence[str], log: Log) -> tuple[Process, list[str]]:
    """Start a process that prints "ready ..." on stdout; return it, and the words after "ready".

    Its stderr goes to the log. It runs in a session of its own: Ctrl-C has to reach the test run alone, which then ends
    its fleet in order. Raises FleetError with the log if the process prints anything else.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    assert process.stdout
    words = process.stdout.readline().decode().split()
    if words[:1] != ["ready"]:
        end(process)
        log.seek(0)
        raise FleetError(f"{Path(command[0]).name} did not start: {log.read().decode(errors='replace').strip()}")
    return process, words[1:]


def end(process: Process) -> None:
    """Send SIGTERM to a process of start(), and SIGKILL if it still runs after 10 seconds; wait for its end."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()
