"""The fault suite's table: fault x step -> what the node was like then -> what was reported, and what came after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path

import pytest

ROWS = "fault table"  # of a test's user properties: they come back from xdist's workers
HEADINGS = ("fault", "step", "struck at", "node then", "reported", "apply again", "rollback")


@dataclass(frozen=True)
class Row:
    """One fault point.

    fault: what struck. step: the number of the node's command, 0 where the fault was there from the start. command:
    that command, or what was wrong. state: of the node when all had ended. reported: status, and the problem or how
    many items are wrong. again: the status of the next apply. rollback: what the node was like after it.
    """

    fault: str
    step: int
    command: str
    state: str
    reported: str
    again: str
    rollback: str

    @property
    def outcome(self) -> tuple[str, ...]:
        """All but the step."""
        return self.fault, self.state, self.reported, self.again, self.rollback


def keep(item: pytest.Item, rows: Iterable[Row]) -> None:
    """Puts rows into the run's table."""
    item.user_properties.extend((ROWS, astuple(row)) for row in rows)


def kept(reporter: pytest.TerminalReporter) -> list[Row]:
    """The rows of all tests of a run."""
    reports = [report for some in reporter.stats.values() for report in some]
    ends = [report for report in reports if getattr(report, "when", "") == "teardown"]
    return [Row(*value) for report in ends for name, value in report.user_properties if name == ROWS]


def folded(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Neighbouring steps with one outcome as one line."""
    lines: list[tuple[str, ...]] = []
    for _, same in groupby(rows, key=lambda row: row.outcome):
        group = list(same)
        first, last = group[0], group[-1]
        step = "-" if not first.step else f"{first.step}-{last.step}" if last.step > first.step else f"{first.step}"
        commands = dict.fromkeys(row.command.split()[0] if row.step else row.command for row in group)
        lines.append((first.fault, step, ", ".join(commands), first.state, first.reported, first.again, first.rollback))
    return lines


def show(reporter: pytest.TerminalReporter, rows: Sequence[Row]) -> None:
    """Prints the table."""
    reporter.section(f"{len(rows)} fault points")
    for line in folded(rows):
        reporter.write_line(" | ".join(line))


def write(path: Path, rows: Sequence[Row]) -> None:
    """The table as a page."""
    lines = [
        "# What faults do to a node",
        "",
        "Written by the fault suite (`--fault-table FILE`; `make test-full` strikes more often): a fault struck at the",
        "commands that nodeprep's scripts start on a node during an apply, or during a rollback. Steps in a row with",
        "one outcome are one line.",
        "",
        f"{len(rows)} fault points. In each of them every file was whole, old or new, what was reported was true of",
        "the node, the next apply converged, and rollback gave back the original; a rollback that was struck was",
        "finished by the next.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{' --- |' * len(HEADINGS)}",
        *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in folded(rows)),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
