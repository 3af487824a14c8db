"""The live line of a run on a terminal."""

from __future__ import annotations

from itertools import islice
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tasks.console.plain import INTERRUPTED
from tasks.core.result import NodeResult
from tasks.core.run.report import FAILURES, problems


class LiveProgress:
    """A bar, the counts, and who is being worked on; gone when the run is over."""

    def __init__(self, console: Console, verb: str, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, TextColumn("{task.fields[who]}"), console=console, transient=True)
        self._verb = verb
        self._task = self._bar.add_task(verb, total=total, who="")
        self._working: dict[str, None] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def batch(self, number: int, of: int, size: int) -> None:
        """The batch is part of the bar's name."""
        del size
        self._bar.update(self._task, description=f"{self._verb} batch {number}/{of}")

    def started(self, host: str) -> None:
        """A host joins those being worked on."""
        with self._lock:
            self._working[host] = None
        self._show()

    def finished(self, result: NodeResult) -> None:
        """A host is done; trouble is shown at once, above the bar."""
        with self._lock:
            self._working.pop(result.host, None)
        if result.status in FAILURES:
            why = result.problem or ", ".join(item.name for item in problems(result))
            self._say(f"{result.host}: {result.status}: {why}")
        self._bar.advance(self._task)
        self._show()

    def interrupted(self) -> None:
        """What Ctrl-C has done, and what another one does."""
        self._say(f"{self._verb}: {INTERRUPTED}")

    def _say(self, line: str) -> None:
        self._bar.console.print(line, style="red", markup=False)

    def _show(self) -> None:
        with self._lock:
            names, count = list(islice(self._working, 3)), len(self._working)
        more = f" and {count - 3} more" if count > 3 else ""
        self._bar.update(self._task, who=", ".join(names) + more)
