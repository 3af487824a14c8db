"""The progress of a run: a live line on a terminal, else one plain line for each finished node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.console.output import Screen
from tasks.console.plain import PlainProgress

if TYPE_CHECKING:
    from tasks.console.live import LiveProgress


def progress(screen: Screen, verb: str, total: int) -> PlainProgress | LiveProgress:
    """Return the live line for a terminal, else plain lines."""
    if screen.is_terminal:
        from tasks.console.live import LiveProgress  # noqa: PLC0415 # only terminals need it

        return LiveProgress(screen.rich, verb, total)
    return PlainProgress(screen, verb, total)
