"""The two streams of a run: results on stdout, progress on stderr. Colour only on a terminal and without NO_COLOR."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

WIDE = 160  # columns when nobody's terminal limits them: files and pipes


def console(stream: TextIO) -> Console:
    """A console for one of the streams. rich itself honours NO_COLOR and TERM=dumb."""
    terminal = stream.isatty()
    return Console(file=stream, width=None if terminal else WIDE, highlight=False, soft_wrap=not terminal, emoji=False)


def results() -> Console:
    """Where results go."""
    return console(sys.stdout)


def progress() -> Console:
    """Where progress goes, so that results can be piped."""
    return console(sys.stderr)
