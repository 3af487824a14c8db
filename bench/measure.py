"""Measure one command from outside: `python -m bench.measure [--netns NAME] SECONDS OUT COMMAND...`

It is a program of its own because it counts its children. It is the command's subreaper, so the CPU is that of the
whole tree of processes, detached ones included: an SSH master that is left behind is ended, and counted.
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
_OVERHEAD = 50  # the pause after a sample is so many times as long as the sample: at most 2 % of one core
_PATIENCE = 5.0  # seconds from SIGTERM to SIGKILL
TIMED_OUT = 124  # the exit code of timeout(1)


def _pss_kb(pid: int) -> int:
    """Return a process's proportional set size in kB: memory that processes share is counted once among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


class Sampler(threading.Thread):
    """Sample the memory of this process's descendants until stop(). peak_kb: the largest sum seen, in kB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_kb = 0
        self._stop_now = threading.Event()

    def run(self) -> None:
        """Sample, and pause in proportion, until stop()."""
        pause = 0.05
        while not self._stop_now.wait(pause):
            start = time.perf_counter()
            self.peak_kb = max(self.peak_kb, sum(map(_pss_kb, descendants(os.getpid()))))
            pause = max(0.05, _OVERHEAD * (time.perf_counter() - start))

    def stop(self) -> None:
        """End the thread."""
        self._stop_now.set()
        self.join()


def _end_all() -> None:
    """End the processes that the command left behind, by force after 5 seconds, and reap them, so their CPU counts."""
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
    """Run a command for at most so many seconds, and return its figures.

    code: its exit code, 124 if it was killed. wall, cpu: seconds. memory_mb: the peak in MB.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sampler = Sampler()
    sampler.start()
    start = time.perf_counter()
    process = subprocess.Popen(command)
    limit = threading.Timer(seconds, process.kill)  # wait(timeout) would look every 50 ms only
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
    """Measure the command in the arguments, and write the figures as JSON to OUT."""
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
