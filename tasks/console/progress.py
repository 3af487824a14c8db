"""What is seen while a run goes on: a live line on a terminal, else one plain line for each finished node."""

from __future__ import annotations

from itertools import islice
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tasks.core.model import NodeResult, Status
from tasks.core.report import FAILURES

STYLES = {
    Status.OK: "green",
    Status.CHANGED: "yellow",
    Status.SKIPPED: "dim",
    Status.DRIFT: "magenta",
    Status.FAILED: "bold red",
    Status.UNREACHABLE: "bold red",
}


class PlainProgress:
    """One line a finished node, for logs and pipes."""

    def __init__(self, console: Console, verb: str, total: int) -> None:
        self._console, self._verb, self._total, self._done = console, verb, total, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def batch(self, number: int, of: int, size: int) -> None:
        """`apply batch 2/4: 10 nodes`."""
        self._say(f"{self._verb} batch {number}/{of}: {size} node{'s' if size != 1 else ''}")

    def started(self, host: str) -> None:
        """Nothing is said before there is a result."""

    def finished(self, result: NodeResult) -> None:
        """`verify [2/3] lab-2: drift (1.2 s)`."""
        self._done += 1
        self._say(f"{self._verb} [{self._done}/{self._total}] {result.host}: {result.status} ({result.seconds:.1f} s)")

    def _say(self, line: str) -> None:
        """Past rich, which takes as long for a line as a node takes for its login."""
        self._console.file.write(f"{line}\n")
        self._console.file.flush()


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
            self._bar.console.print(f"{result.host}: {result.status}: {result.problem}", style="red", markup=False)
        self._bar.advance(self._task)
        self._show()

    def _show(self) -> None:
        with self._lock:
            names, count = list(islice(self._working, 3)), len(self._working)
        more = f" and {count - 3} more" if count > 3 else ""
        self._bar.update(self._task, who=", ".join(names) + more)


def progress(console: Console, verb: str, total: int) -> PlainProgress | LiveProgress:
    """The kind of progress that suits the console."""
    return (LiveProgress if console.is_terminal else PlainProgress)(console, verb, total)
