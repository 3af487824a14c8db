"""Measure fab's start-up, which every command pays before its first packet, with nodeprep's tasks and without."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

from bench.environments import ROOT, program
from bench.results import Row

TIMES = 9


def measure_startup(name: str) -> Iterator[Row]:
    """Run `fab --list` or `fab --version` 9 times, and yield the rows, of 0 nodes."""
    command = [program("fabric", "fab"), name.split()[1]]
    for rep in range(TIMES):
        begin, cpu = time.perf_counter(), os.times().children_user + os.times().children_system
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        wall, used = time.perf_counter() - begin, os.times().children_user + os.times().children_system - cpu
        yield Row(name, "start-up", 0, 0, rep, done.returncode, 0, wall, used, 0, 0, 0, 0, 0, done.stderr[-300:])
