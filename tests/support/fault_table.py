"""The fault suite's table: fault x step -> the node's state, the report, and the next apply and rollback."""

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

    step: the number of the node's command, 0 if the fault was there from the start. command: that command, or the
    fault. state: of the node after the run. reported: status, and the problem or the number of wrong items. again: the
    status of the next apply. rollback: the state of the node after a rollback.
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
        """All fields but the step and the command."""
        return self.fault, self.state, self.reported, self.again, self.rollback


def keep(item: pytest.Item, rows: Iterable[Row]) -> None:
    """Add rows to the run's table."""
    item.user_properties.extend((ROWS, astuple(row)) for row in rows)


def kept(reporter: pytest.TerminalReporter) -> list[Row]:
    """Return the rows of all tests of a run."""
    reports = [report for some in reporter.stats.values() for report in some]
    ends = [report for report in reports if getattr(report, "when", "") == "teardown"]
    return [Row(*value) for report in ends for name, value in report.user_properties if name == ROWS]


def folded(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the table's lines; neighbouring steps with the same outcome share a line."""
    lines: list[tuple[str, ...]] = []
    for _, same in groupby(rows, key=lambda row: row.outcome):
        group = list(same)
        first, last = group[0], group[-1]
        step = "-" if not first.step else f"{first.step}-{last.step}" if last.step > first.step else f"{first.step}"
        commands = dict.fromkeys(row.command.split()[0] if row.step else row.command for row in group)
        lines.append((first.fault, step, ", ".join(commands), first.state, first.reported, first.again, first.rollback))
    return lines


def show(reporter: pytest.TerminalReporter, rows: Sequence[Row]) -> None:
    """Print the table."""
    reporter.section(f"{len(rows)} fault points")
    for line in folded(rows):
        reporter.write_line(" | ".join(line))


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the table as a Markdown page."""
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
