"""Run work in a child process with a limit of time and memory, for text of others that computes."""

from __future__ import annotations

import os
import resource
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

_DONE = "\0"  # no report holds it: reports are one line of a path

Report = Callable[[str], None]


def first_over_budget(work: Callable[[Report], None], *, seconds: float, mebibytes: int) -> str | None:
    """Return the last text that work reported before it exceeded the budget; None if it did not.

    work: called in a copy of this process, so nothing that it changes is kept. An exception of its own is not an
    excess. seconds: from one report to the next. mebibytes: of memory beside what is in use now.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work_and_exit(work, writer, mebibytes)
    os.close(writer)
    try:
        last = _last_report(reader, seconds)
    finally:
        os.close(reader)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return None if last == _DONE else last


def _work_and_exit(work: Callable[[Report], None], writer: int, mebibytes: int) -> NoReturn:
    """Work and end this process at once: what the parent would do at its end is not the child's."""
    try:
        _limit_memory(mebibytes)
        with suppress(Exception):
            if not _exceeds_memory(work, writer):
                _send(writer, _DONE)
    finally:
        os._exit(0)


def _exceeds_memory(work: Callable[[Report], None], writer: int) -> bool:
    try:
        work(lambda text: _send(writer, text))
    except Exception as error:  # the parent meets it again, and reports it
        return isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError)
    return False


def _send(writer: int, text: str) -> None:
    os.write(writer, f"{text}\n".encode(errors="replace"))


def _limit_memory(mebibytes: int) -> None:
    """Limit the address space, where the system can say how large it is (Linux)."""
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + mebibytes * 2**20
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _last_report(reader: int, seconds: float) -> str:
    """Return the last whole line that arrives, each within some seconds of the one before."""
    last, rest = "", b""
    while select.select([reader], [], [], seconds)[0]:
        piece = os.read(reader, 65536)
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        last = lines[-1].decode() if lines else last
    return last
