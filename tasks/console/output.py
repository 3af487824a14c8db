"""The two streams of a run: results on stdout, progress on stderr. Colour only on a terminal and without NO_COLOR."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import IO, TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console


PLAIN_WIDTH = 160  # columns when nobody's terminal limits them: files and pipes
GAP = 3  # blanks between two columns
FORCE_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE")  # what makes rich take a pipe for a terminal


class Sink(Protocol):
    """What takes text as it is."""

    @property
    def file(self) -> IO[str]:
        """The stream."""


class Screen:
    """A stream that people read. What a pipe gets has no style, and mostly needs nothing of rich's.

    So rich is only imported for terminals and for what it alone lays out: 17 ms of CPU. rich: another one than the
    stream's own.
    """

    def __init__(self, stream: TextIO, rich: Console | None = None) -> None:
        self.file: IO[str] = stream
        self._plain = not (rich or stream.isatty() or any(name in os.environ for name in FORCE_TERMINAL))
        if rich:
            self.rich = rich

    @cached_property
    def rich(self) -> Console:
        """rich's console of the stream. rich itself honours NO_COLOR and TERM=dumb."""
        from rich.console import Console  # noqa: PLC0415 # see the class

        class Raising(Console):
            def on_broken_pipe(self) -> None:
                """rich's own ends the process."""
                raise  # noqa: PLE0704 # rich calls this where it has caught a BrokenPipeError

        live = self.file.isatty()
        return Raising(
            file=self.file, width=None if live else PLAIN_WIDTH, highlight=False, soft_wrap=not live, emoji=False
        )

    @property
    def is_terminal(self) -> bool:
        """Whether a line can be written over."""
        return not self._plain and self.rich.is_terminal

    def line(self, text: str = "", style: str = "") -> None:
        """A line, or several. What is too long for a terminal is the terminal's to wrap: a command is pasted whole."""
        if self._plain and all(line.isprintable() and not line.endswith(" ") for line in text.split("\n")):
            self._write(f"{text}\n")
            return
        from rich.text import Text  # noqa: PLC0415 # see the class

        self.rich.print(Text(text, style=style), soft_wrap=True)

    def sentence(self, text: str, indent: int) -> None:
        """A line that begins some blanks to the right; what a terminal has no room for goes on below, further right."""
        if not self.is_terminal or self.rich.soft_wrap:
            self.line(" " * indent + text)
            return
        from rich.text import Text  # noqa: PLC0415 # see the class

        first, *more = Text(text).wrap(self.rich, max(20, self.rich.width - 2 * indent))
        self.line("\n".join([" " * indent + first.plain, *(" " * 2 * indent + each.plain for each in more)]))

    def table(self, rows: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
        """Columns, the last one to the right. rows: the first are headings. styles: of each other row's second cell."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        simple = all(cell.isascii() and cell.isprintable() for row in rows for cell in row)
        if self._plain and simple and sum(widths) + GAP * (len(widths) - 1) <= PLAIN_WIDTH:
            self._write("".join(f"{_in_columns(row, widths)}\n" for row in rows))
        else:
            self._rich_table(rows, styles)

    def _rich_table(self, rows: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
        from rich.table import Table  # noqa: PLC0415 # see the class
        from rich.text import Text  # noqa: PLC0415

        grid = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for number, heading in enumerate(rows[0], 1):
            grid.add_column(heading, overflow="fold", justify="right" if number == len(rows[0]) else "left")
        for row, style in zip(rows[1:], styles, strict=True):
            cells = [Text(cell) for cell in row]
            cells[1].stylize(style)
            grid.add_row(*cells)
        self.rich.print(grid)

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()


def _in_columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    others = (cell.ljust(width) for cell, width in zip(cells[:-1], widths[:-1], strict=True))
    return (" " * GAP).join((*others, cells[-1].rstrip().rjust(widths[-1])))


def console(stream: TextIO) -> Screen:
    """One of the streams."""
    return Screen(stream)


def results() -> Screen:
    """Where results go. Without a stdout (`>&-`) that is nowhere, as for Python's own print()."""
    return console(sys.stdout or io.StringIO())


def drop_results() -> None:
    """Sends nowhere what stdout did not take: Python's own flush at its end would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def progress() -> Screen:
    """Where progress goes, so that results can be piped."""
    return console(sys.stderr)
