"""Screens of a pipe and of a terminal, on streams in memory."""

from __future__ import annotations

import io
from collections.abc import Callable

from tasks.console.output import Screen
from tasks.core.result import RunSummary


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def plain() -> tuple[Screen, io.StringIO]:
    """Return the screen of a pipe, and its stream."""
    stream = io.StringIO()
    return Screen(stream), stream


def by_rich() -> tuple[Screen, io.StringIO]:
    """Return the screen of a pipe that leaves everything to rich, and its stream."""
    stream = io.StringIO()
    return Screen(stream, Screen(stream).rich), stream


def written(write: Callable[[RunSummary, Screen], None], run: RunSummary) -> str:
    """Return what a format writes of a run."""
    screen, stream = plain()
    write(run, screen)
    return stream.getvalue()
