"""Run the matrix, and write bench.md, bench.svg and bench.jsonl into docs/ or another folder: python -m bench."""

from __future__ import annotations

import argparse
import math
import sys
from functools import partial
from pathlib import Path

from bench import environments
from bench.campaign import measure
from bench.drivers import DRIVERS, PHASES
from bench.environments import ROOT
from bench.matrix import FULL, QUICK, TRACED, Block
from bench.plot import svg
from bench.report import markdown
from bench.results import Results, read, write
from lab.fleet.fleet import FleetError


def parse_arguments() -> argparse.Namespace:
    """Parse the command line. Exits with code 2 and a message if it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="nodeprep beside its peers")
    parser.add_argument("--full", action="store_true", help="the larger matrix, without a limit")
    parser.add_argument("--minutes", type=float, default=12.5, help="begin no further repetition after so many")
    parser.add_argument("--place", action="append", default=[], metavar="NODES[:RTT_MS[:REPS]]", help="run there only")
    parser.add_argument("--drivers", default="", help=f"with --place, run these only: {','.join(DRIVERS)}")
    parser.add_argument("--phases", default=",".join(PHASES), help="with --place, run these only; default: %(default)s")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the page anew from bench.jsonl")
    given = parser.parse_args()
    for option, names, known in (("--drivers", given.drivers, DRIVERS), ("--phases", given.phases, PHASES)):
        if unknown := [name for name in filter(None, names.split(",")) if name not in known]:
            parser.error(f"{option}: there is no {unknown[0]!r}; there are {', '.join(known)}")
    try:
        given.blocks = [parse_block(place, given.drivers, given.phases) for place in given.place]
    except ValueError:
        parser.error(f"--place {' '.join(given.place)}: expected numbers, such as 50:0:3")
    return given


def parse_block(place: str, drivers: str, phases: str) -> Block:
    """Parse the values of --place, --drivers and --phases. Raises ValueError if the place is not made of numbers."""
    nodes, rtt_ms, reps = place.split(":") + ["0", "1"][place.count(":") :]
    names = tuple(filter(None, drivers.split(","))) or tuple(name for name in DRIVERS if name != "ssh" or nodes == "1")
    return Block(int(nodes), float(rtt_ms), int(reps), names, tuple(phases.split(",")))


def _measure(given: argparse.Namespace, rows: Path) -> Results:
    for name in environments.NAMES:
        environments.build(name)
    environments.compile_nodeprep()
    given.out.mkdir(parents=True, exist_ok=True)
    seconds = math.inf if given.full else given.minutes * 60
    some = given.blocks
    return measure(some or (FULL if given.full else QUICK), () if some else TRACED, seconds, partial(write, rows))


def main() -> None:
    """Measure and report, or only report."""
    given = parse_arguments()
    rows = given.out / "bench.jsonl"
    try:
        results = read(rows) if given.report else _measure(given, rows)
    except FleetError as error:
        sys.exit(f"bench: {error}")
    (given.out / "bench.md").write_text(markdown(results), encoding="utf-8")
    (given.out / "bench.svg").write_text(svg(results), encoding="utf-8")


if __name__ == "__main__":
    main()
