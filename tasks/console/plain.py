"""Progress for pipes and logs: one line for each finished node."""

from __future__ import annotations

from typing import Self

from tasks.console.output import Sink
from tasks.core.result import NodeResult
from tasks.core.sanitize import sanitize

INTERRUPTED = "interrupted: no further node starts, those under way finish; Ctrl-C again gives them up"


class PlainProgress:
    """One line for each finished node, without rich."""

    def __init__(self, sink: Sink, verb: str, total: int) -> None:
        self._sink, self._verb, self._total, self._done = sink, verb, total, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def batch(self, number: int, of: int, size: int) -> None:
        """Print `apply batch 2/4: 10 nodes`."""
        self._write_line(f"{self._verb} batch {number}/{of}: {size} node{'s' if size != 1 else ''}")

    def started(self, host: str) -> None:
        """Print nothing: there is no result yet."""

    def finished(self, result: NodeResult) -> None:
        """Print `verify [2/3] lab-2: drift (1.2 s)`."""
        self._done += 1
        count = f"[{self._done}/{self._total}]"
        self._write_line(f"{self._verb} {count} {result.host}: {result.status} ({result.seconds:.1f} s)")

    def interrupted(self) -> None:
        """Print the effect of Ctrl-C, and of another one."""
        self._write_line(f"{self._verb}: {INTERRUPTED}")

    def _write_line(self, line: str) -> None:
        """Write a line without rich, which takes as long for it as a node takes for its login."""
        self._sink.file.write(f"{sanitize(line)}\n")
        self._sink.file.flush()
