"""The streams of a run: results on stdout, progress on stderr. Colour only on a terminal and without NO_COLOR."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import IO, TYPE_CHECKING, Protocol, TextIO

from tasks.core.sanitize import sanitize, sanitize_lines

if TYPE_CHECKING:
    from rich.console import Console


PLAIN_WIDTH = 160  # columns when nobody's terminal limits them: files and pipes
GAP = 3  # blanks between two columns
FORCE_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE")  # variables that make rich take a pipe for a terminal


class Sink(Protocol):
    """A target for text that is written unchanged."""

    @property
    def file(self) -> IO[str]:
        """Return the stream."""


class Screen:
    """A stream that people read. The text for a pipe has no style, and mostly does not need rich.

    So rich, whose import takes 17 ms of CPU, is imported only for terminals and for texts that only rich can lay out.
    rich: another console than the stream's own.
    """

    def __init__(self, stream: TextIO, rich: Console | None = None) -> None:
        self.file: IO[str] = stream
        self._plain = not (rich or stream.isatty() or any(name in os.environ for name in FORCE_TERMINAL))
        if rich:
            self.rich = rich

    @cached_property
    def rich(self) -> Console:
        """Return rich's console of the stream. rich itself honours NO_COLOR and TERM=dumb."""
        from rich.console import Console  # noqa: PLC0415 # see the class

        class Raising(Console):
            def on_broken_pipe(self) -> None:
                """Raise the error again; rich's own method ends the process."""
                raise  # noqa: PLE0704 # rich calls this where it has caught a BrokenPipeError

        live = self.file.isatty()
        return Raising(
            file=self.file, width=None if live else PLAIN_WIDTH, highlight=False, soft_wrap=not live, emoji=False
        )

    @property
    def is_terminal(self) -> bool:
        """Return whether a line can be overwritten."""
        return not self._plain and self.rich.is_terminal

    def line(self, text: str = "", style: str = "") -> None:
        """Print one or more lines, sanitized. The terminal wraps long ones, so that a command is copied whole."""
        text = sanitize_lines(text)
        if self._plain and all(line.isprintable() and not line.endswith(" ") for line in text.split("\n")):
            self._write(f"{text}\n")
            return
        from rich.text import Text  # noqa: PLC0415 # see the class

        self.rich.print(Text(text, style=style), soft_wrap=True)

    def sentence(self, text: str, indent: int) -> None:
        """Print a line with an indent; a terminal gets a longer one in several lines, the later ones indented twice."""
        if not self.is_terminal or self.rich.soft_wrap:
            self.line(" " * indent + text)
            return
        from rich.text import Text  # noqa: PLC0415 # see the class

        first, *more = Text(sanitize(text)).wrap(self.rich, max(20, self.rich.width - 2 * indent))
        self.line("\n".join([" " * indent + first.plain, *(" " * 2 * indent + each.plain for each in more)]))

    def table(self, rows: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
        """Print columns, the last one right-aligned. The first row has the headings.

        styles: for the second cell of each other row.
        """
        rows = [tuple(map(sanitize, row)) for row in rows]
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


def results() -> Screen:
    """Return the screen for results. Without a stdout (`>&-`) it drops them, as Python's own print() does."""
    return Screen(sys.stdout or io.StringIO())


def drop_results() -> None:
    """Drop the results that stdout did not take: Python's own flush at its end would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def progress() -> Screen:
    """Return the screen for progress: stderr, so that results can be piped."""
    return Screen(sys.stderr)


def truncate(text: str, length: int) -> str:
    """Cut a text for people to a number of characters. Not for commands, which might be pasted."""
    return text if len(text) <= length else f"{text[:length]}… ({len(text)} characters)"
