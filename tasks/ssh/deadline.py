"""The time limit of the work on one host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Deadline:
    """A point in time that a host's work must not pass."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._extended = 0.0  # seconds in all

    def remaining(self) -> float:
        """Return the seconds left, at least 0.01: 0 makes a socket non-blocking."""
        return max(self._end - time.monotonic(), 0.01)

    @property
    def passed(self) -> bool:
        """Tell if no time is left."""
        return time.monotonic() >= self._end

    def extend(self, seconds: float) -> None:
        """Move the deadline, by time that was not this host's: spent waiting for another one."""
        self._end += seconds
        self._extended += seconds

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit a part of the work to so many seconds, within the deadline."""
        end, extended = self._end, self._extended
        self._end = min(end, time.monotonic() + seconds)
        try:
            yield
        finally:
            self._end = end + self._extended - extended
