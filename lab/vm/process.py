"""Follow processes that outlive this one, by pid and start time, so that a recycled pid is never touched."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from lab.proc import stat_fields

_STATE, _START_TIME = 0, 19  # of /proc/PID/stat, counted after the name in parentheses


@dataclass(frozen=True, slots=True)
class Process:
    """Identify one process of this machine. started: its start time in clock ticks since the machine's boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has this pid now. Raises ProcessLookupError if there is none."""
        stat = stat_fields(pid)
        if stat is None:
            raise ProcessLookupError(pid)
        return cls(pid, int(stat[_START_TIME]))

    def alive(self) -> bool:
        """Return True while this very process runs. A zombie whose other threads have ended does not run."""
        stat = stat_fields(self.pid)
        if stat is None or int(stat[_START_TIME]) != self.started:
            return False
        return stat[_STATE] not in "ZX" or _threads(self.pid) > 1

    def kill(self, deadline: float = 10.0) -> None:
        """Send SIGKILL, and wait at most `deadline` seconds for its end. Does nothing if it has ended already."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.wait(deadline)

    def wait(self, deadline: float) -> bool:
        """Wait until it has ended; return False if it still runs after `deadline` seconds."""
        end = time.monotonic() + deadline
        while self.alive() and time.monotonic() < end:
            time.sleep(0.02)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return not self.alive()


def _threads(pid: int) -> int:
    # A killed QEMU's first thread is a zombie a moment before the last one closes the node's port (seen).
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return 0
