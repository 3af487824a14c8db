"""One command, measured from outside: `python -m bench.measure [--netns NAME] SECONDS OUT COMMAND...`

It is a program of its own because what it counts is its children: it is the command's subreaper, so CPU covers the
whole tree of processes, also what detached itself (an SSH master left behind is ended, and counted).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from lab import netns
from lab.proc import descendants

_PR_SET_CHILD_SUBREAPER = 36
_OVERHEAD = 50  # a sample is followed by a pause of this many times its own length: at most 2 % of one core
_PATIENCE = 5.0  # seconds from asking to force
TIMED_OUT = 124  # as of timeout(1)


def _pss_kb(pid: int) -> int:
    """A process's proportional set size: memory that processes share is counted once among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


class Sampler(threading.Thread):
    """Looks at the memory of this process's descendants until it is stopped; peak_kb is the largest sum seen."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_kb = 0
        self._stop_now = threading.Event()

    def run(self) -> None:
        """Samples, and pauses in proportion."""
        pause = 0.05
        while not self._stop_now.wait(pause):
            start = time.perf_counter()
            self.peak_kb = max(self.peak_kb, sum(map(_pss_kb, descendants(os.getpid()))))
            pause = max(0.05, _OVERHEAD * (time.perf_counter() - start))

    def stop(self) -> None:
        """Ends it."""
        self._stop_now.set()
        self.join()


def _end_all() -> None:
    """Ends what the command left behind, by force after a while, and waits for it, so that its CPU is counted."""
    patience = time.monotonic() + _PATIENCE
    while True:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if time.monotonic() < patience else signal.SIGKILL)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.01)


def measure(command: list[str], seconds: float) -> dict[str, float]:
    """Runs a command: its exit code (124 after so many seconds), wall time and CPU in s, peak memory in MB."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sampler = Sampler()
    sampler.start()
    start = time.perf_counter()
    process = subprocess.Popen(command)
    limit = threading.Timer(seconds, process.kill)  # wait(timeout) would look only every 50 ms
    limit.start()
    code = process.wait()
    wall = time.perf_counter() - start
    if limit.finished.is_set():
        code = TIMED_OUT
    limit.cancel()
    sampler.stop()
    _end_all()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"code": code, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory_mb": sampler.peak_kb / 1024}


def main(arguments: list[str]) -> None:
    """Measures as the arguments say, and writes the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--netns", default="")
    parser.add_argument("seconds", type=float)
    parser.add_argument("out", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    if given.netns:
        netns.enter(given.netns)
    given.out.write_text(json.dumps(measure(given.command, given.seconds)), encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
