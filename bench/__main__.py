"""python -m bench: runs the matrix, and writes bench.md, bench.svg and bench.jsonl into docs/ or another folder."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import cost, environments, run
from bench.drivers import DRIVERS, FIRST
from bench.environments import ROOT
from bench.matrix import FULL, QUICK, TRACED, Block, turns
from bench.plot import svg
from bench.report import markdown
from bench.results import Cost, Results, Row, read, write
from bench.startup import startup


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="nodeprep beside its peers")
    parser.add_argument("--full", action="store_true", help="the larger matrix")
    parser.add_argument("--minutes", type=float, default=13.5, help="after these no further repetition begins")
    parser.add_argument("--place", action="append", default=[], metavar="NODES[:RTT_MS[:REPS]]", help="only there")
    parser.add_argument("--drivers", default="", help=f"only these, with --place: {','.join(DRIVERS)}")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--report", action="store_true", help="measure nothing: write both anew from bench.jsonl")
    return parser.parse_args()


def _block(place: str, drivers: str) -> Block:
    nodes, rtt_ms, reps = (place.split(":") + ["0", "1"][place.count(":") :])[:3]
    names = tuple(filter(None, drivers.split(","))) or tuple(name for name in DRIVERS if name != "ssh" or nodes == "1")
    return Block(int(nodes), float(rtt_ms), int(reps), names)


def _machine() -> dict[str, str]:
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release().partition('-')[0]}"
    peers = ", ".join(_version(name) for name in environments.NAMES)
    return {"machine": f"{system}, {ssh}, Python {platform.python_version()}", "versions": peers, "date": _today()}


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _version(environment: str) -> str:
    """Its main package as it is pinned."""
    lines = (environments.PINS / f"{environment}.txt").read_text(encoding="ascii").splitlines()
    return next(line for line in lines if line.lower().startswith(environment)).replace("==", " ")


def _say(row: Row) -> None:
    print(
        f"{time.strftime('%H:%M:%S')} {row.nodes:5} nodes {row.rtt_ms:4g} ms  {row.driver:18} {row.phase:8} "
        f"wall {row.wall:7.2f}  cpu {row.cpu:6.2f}  peak {row.memory_mb:4.0f} MB"
        + ("" if row.good else f"  FAILED: {row.code}, {row.wrong} nodes wrong: {row.said}"),
        file=sys.stderr,
        flush=True,
    )


def _measure(blocks: tuple[Block, ...], seconds: float) -> Results:
    """Runs everything. Past the limit no repetition begins but a first; results.machine says so."""
    results, end = Results(_machine()), time.monotonic() + seconds
    work = run.desired()
    for name in dict.fromkeys(driver for block in blocks for driver in block.drivers):
        list(run.runs(name, 1, 0, 0, (FIRST,), work))  # warms the caches, and is not kept
    for name in ("fab --version", "fab --list"):
        results.rows.extend(startup(name))
    left_out = 0
    for turn in turns(blocks):
        if turn.rep and time.monotonic() > end:
            left_out += 1
            continue
        for row in run.runs(turn.driver, turn.nodes, turn.rtt_ms, turn.rep, turn.phases, work):
            _say(row)
            results.rows.append(row)
    results.machine["repetitions"] = (
        f"{left_out} left out at the limit of {seconds / 60:g} minutes" if left_out else "all"
    )
    return results


def _costs() -> Iterator[Cost]:
    work = run.desired()
    for name in TRACED:
        yield from cost.costs(name, work)


def main() -> None:
    """Measures and reports; or reports."""
    given = _arguments()
    rows = given.out / "bench.jsonl"
    if given.report:
        results = read(rows)
    else:
        for name in environments.NAMES:
            environments.build(name)
        environments.compile_nodeprep()
        blocks = tuple(_block(place, given.drivers) for place in given.place) or (FULL if given.full else QUICK)
        results = _measure(blocks, (given.minutes if not given.full else 24 * 60) * 60)
        if not given.place:
            results.costs.extend(_costs())
        given.out.mkdir(parents=True, exist_ok=True)
        write(rows, results)
    (given.out / "bench.md").write_text(markdown(results), encoding="utf-8")
    (given.out / "bench.svg").write_text(svg(results), encoding="utf-8")


if __name__ == "__main__":
    main()
