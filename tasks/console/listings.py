"""Listings of rendered files and of snapshots: equal ones of several nodes are printed once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from tasks.console.json_report import write_by_host
from tasks.console.output import Screen
from tasks.core.folding import fold
from tasks.core.protocol.lock import run_time
from tasks.core.result import NodeResult, SnapshotSummary, Status
from tasks.core.undo.rollback import format_snapshot

T = TypeVar("T", bound=Hashable)


def show_files(results: Sequence[NodeResult], screen: Screen, *, as_json: bool) -> None:
    """Print each node's files, path and text. JSON also has the nodes without a result."""
    found = {result.host: result.files for result in _succeeded(results)}
    if as_json:
        write_by_host("files", {host: dict(files) for host, files in found.items()}, results, screen)
        return
    for (path, text), hosts in _hosts_by_value((host, file) for host, files in found.items() for file in files).items():
        screen.line(f"==> {path} on {fold(hosts)} <==", "bold")
        screen.line(text)


def show_snapshots(results: Sequence[NodeResult], screen: Screen, *, as_json: bool) -> None:
    """Print each node's snapshots, the newest first: the run, what was done, and how much of it.

    JSON also has the nodes without a result.
    """
    found = {result.host: result.snapshots for result in _succeeded(results)}
    if as_json:
        data = {host: list(map(_snapshot_data, snapshots)) for host, snapshots in found.items()}
        write_by_host("snapshots", data, results, screen)
        return
    for snapshots, hosts in _hosts_by_value(found.items()).items():
        screen.line(fold(hosts), "bold")
        for snapshot in snapshots:
            screen.line(f"  {format_snapshot(snapshot)}")
        if not snapshots:
            screen.line("  nothing to take back")


def _succeeded(results: Iterable[NodeResult]) -> list[NodeResult]:
    return [result for result in results if result.status is Status.OK]


def _hosts_by_value(pairs: Iterable[tuple[str, T]]) -> Mapping[T, list[str]]:
    """Group pairs of a host and a value by the value."""
    hosts: dict[T, list[str]] = {}
    for host, value in pairs:
        hosts.setdefault(value, []).append(host)
    return hosts


def _snapshot_data(snapshot: SnapshotSummary) -> dict[str, str]:
    return {"run": snapshot.run, "time": run_time(snapshot.run), "what": snapshot.what, "of": snapshot.of}
