"""How long a host may take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Deadline:
    """A point in time that a host's work must not pass."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never less than a hundredth: a socket takes 0 for non-blocking."""
        return max(self._end - time.monotonic(), 0.01)

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self._end

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """So many seconds for a part of the work, if there are so many."""
        end = self._end
        self._end = min(end, time.monotonic() + seconds)
        try:
            yield
        finally:
            self._end = end
