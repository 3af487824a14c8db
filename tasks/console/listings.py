"""Rendered files and snapshots on the screen: equal ones of many nodes once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tasks.console.json_report import write_found
from tasks.console.output import Screen
from tasks.core.folding import fold
from tasks.core.protocol.lock import run_time
from tasks.core.result import Item, NodeResult, Status
from tasks.core.undo.rollback import format_snapshot


def show_files(
    found: Mapping[str, Mapping[str, str]], results: Iterable[NodeResult], screen: Screen, *, as_json: bool
) -> None:
    """Prints each node's files: path to text, by host. As JSON also which of the results have none."""
    if as_json:
        write_found("files", found, results, screen)
        return
    alike: dict[tuple[str, str], list[str]] = {}
    for host, files in found.items():
        for path, text in files.items():
            alike.setdefault((path, text), []).append(host)
    for (path, text), hosts in alike.items():
        screen.line(f"==> {path} on {fold(hosts)} <==", "bold")
        screen.line(text)


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
