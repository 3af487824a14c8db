"""Read from /proc which processes there are below another, and in which state one is."""

from __future__ import annotations

import contextlib
from pathlib import Path


def stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name in parentheses, the state first; None without a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def children(pid: int) -> list[int]:
    """Return the pids of a process's children, those of its first thread first; none if the process is gone.

    The kernel lists a child with the thread that started it, and threads come and go.
    """
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda task: int(task.name)):
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below a process, a parent before its children."""
    return [each for child in children(pid) for each in (child, *descendants(child))]
