"""The progress line of a run on a terminal."""

from __future__ import annotations

from itertools import islice
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tasks.console.output import truncate
from tasks.console.plain import INTERRUPTED
from tasks.core.result import NodeResult
from tasks.core.run.report import FAILURES, problems
from tasks.core.sanitize import sanitize

MAX_LINE_LENGTH = 400  # characters of a failure above the bar; the summary has more


class LiveProgress:
    """A bar, the counts, and the hosts under way; removed when the run is over."""

    def __init__(self, console: Console, verb: str, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, TextColumn("{task.fields[hosts]}"), console=console, transient=True)
        self._verb = verb
        self._task = self._bar.add_task(verb, total=total, hosts="")
        self._under_way: dict[str, None] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def batch(self, number: int, of: int, size: int) -> None:
        """Name the batch in front of the bar."""
        del size
        self._bar.update(self._task, description=f"{self._verb} batch {number}/{of}")

    def started(self, host: str) -> None:
        """Add a host to those under way."""
        with self._lock:
            self._under_way[host] = None
        self._update_hosts()

    def finished(self, result: NodeResult) -> None:
        """Remove a host from those under way; print a failure at once, above the bar."""
        with self._lock:
            self._under_way.pop(result.host, None)
        if result.status in FAILURES:
            why = result.problem or ", ".join(item.name for item in problems(result))
            self._print(f"{result.host}: {result.status}: {why}")
        self._bar.advance(self._task)
        self._update_hosts()

    def interrupted(self) -> None:
        """Print the effect of Ctrl-C, and of another one."""
        self._print(f"{self._verb}: {INTERRUPTED}")

    def _print(self, line: str) -> None:
        self._bar.console.print(truncate(sanitize(line), MAX_LINE_LENGTH), style="red", markup=False)

    def _update_hosts(self) -> None:
        with self._lock:
            names, count = list(islice(self._under_way, 3)), len(self._under_way)
        more = f" and {count - 3} more" if count > 3 else ""
        self._bar.update(self._task, hosts=", ".join(names) + more)
