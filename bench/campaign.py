"""Do all runs of one bench, one after the other; if one of them fails, the others go on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from bench import cost, environments, run
from bench.drivers import FIRST
from bench.matrix import Block, Turn, turns
from bench.results import Cost, Results, Row
from bench.startup import measure_startup
from bench.work import Work
from lab.fleet.fleet import FleetError

_TROUBLE = (FleetError, OSError, subprocess.SubprocessError, ValueError, RuntimeError)


def measure(blocks: Sequence[Block], traced: Sequence[str], seconds: float, keep: Callable[[Results], None]) -> Results:
    """Run all that the blocks name, then count what a node does for the traced drivers; return the results.

    seconds: after these only first repetitions still begin; the results tell how many were left out. keep: called with
    the results each time that they have grown.
    """
    results, end = Results(_machine()), time.monotonic() + seconds
    work = run.desired_work()
    for name in dict.fromkeys(driver for block in blocks for driver in block.drivers):
        list(run_turn(Turn(name, 1, 0, 0, (FIRST,)), work))  # warms the caches; these rows are not kept
    results.rows.extend(row for name in ("fab --version", "fab --list") for row in measure_startup(name))
    left_out = 0
    for turn in turns(blocks):
        if turn.rep and time.monotonic() > end:
            left_out += 1
        else:
            results.rows.extend(run_turn(turn, work))
            keep(results)
    if left_out:
        results.machine["left out"] = f"{left_out} repetitions, at the limit of {seconds / 60:g} minutes"
    results.costs.extend(_count_calls(traced, work))
    keep(results)
    return results


def run_turn(turn: Turn, work: Work) -> Iterator[Row]:
    """Run a turn and yield its rows. An error that ends the turn, such as a fleet that does not start, is a row too."""
    try:
        for row in run.run_driver(turn.driver, turn.nodes, turn.rtt_ms, turn.rep, turn.phases, work):
            _print(row)
            yield row
    except _TROUBLE as error:
        row = Row(
            turn.driver, "turn", turn.nodes, turn.rtt_ms, turn.rep, -1, 0, 0, 0, 0, 0, 0, 0, 0, repr(error)[-300:]
        )
        _print(row)
        yield row


def _count_calls(traced: Sequence[str], work: Work) -> Iterator[Cost]:
    for name in traced:
        try:
            yield from cost.count_calls(name, work)
        except _TROUBLE as error:
            print(f"cannot count what a node does for {name}: {error}", file=sys.stderr)


def _print(row: Row) -> None:
    print(
        f"{time.strftime('%H:%M:%S')} {row.nodes:5} nodes {row.rtt_ms:4g} ms  {row.driver:18} {row.phase:8} "
        f"wall {row.wall:7.2f}  cpu {row.cpu:6.2f}  peak {row.memory_mb:4.0f} MB"
        + ("" if row.good else f"  FAILED: {row.code}, {row.wrong} nodes wrong: {row.said}"),
        file=sys.stderr,
        flush=True,
    )


def _machine() -> dict[str, str]:
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release().partition('-')[0]}"
    return {
        "machine": f"{system}, {ssh}, Python {platform.python_version()}",
        "versions": ", ".join(_version(name) for name in environments.NAMES),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _version(environment: str) -> str:
    """Return the pinned version of an environment's main package: `NAME VERSION`."""
    lines = (environments.PINS / f"{environment}.txt").read_text(encoding="ascii").splitlines()
    return next(line for line in lines if line.lower().startswith(environment)).replace("==", " ")
