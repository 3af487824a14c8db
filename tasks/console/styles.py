"""The style of each status on a terminal."""

from __future__ import annotations

from tasks.core.result import Status

STYLES = {
    Status.OK: "green",
    Status.CHANGED: "yellow",
    Status.SKIPPED: "dim",
    Status.DRIFT: "magenta",
    Status.FAILED: "bold red",
    Status.UNREACHABLE: "bold red",
}
