"""Snapshots on the screen: what can be taken back, the newest first; equal lists of many nodes once."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.console.machine import write_found
from tasks.console.output import Screen
from tasks.core.folding import fold
from tasks.core.protocol.lock import run_time
from tasks.core.result import Item, NodeResult, Status
from tasks.core.undo.rollback import format_snapshot


def show_snapshots(results: Sequence[NodeResult], screen: Screen, *, as_json: bool) -> None:
    """Prints each node's snapshots: items with the run, what was done, and how much of it.

    As JSON also which nodes could not be asked.
    """
    found = {result.host: result.items for result in results if result.status is Status.OK}
    if as_json:
        write_found(
            "snapshots", {host: list(map(_snapshot_data, items)) for host, items in found.items()}, results, screen
        )
        return
    alike: dict[tuple[Item, ...], list[str]] = {}
    for host, items in found.items():
        alike.setdefault(tuple(items), []).append(host)
    for items, hosts in alike.items():
        screen.line(fold(hosts), "bold")
        for item in items:
            screen.line(f"  {format_snapshot(item)}")
        if not items:
            screen.line("  nothing to take back")


def _snapshot_data(item: Item) -> dict[str, str]:
    return {"run": item.name, "time": run_time(item.name), "what": item.expected, "of": item.got or ""}
