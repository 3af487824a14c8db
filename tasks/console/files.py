"""Rendered files on the screen: equal ones of many nodes once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tasks.console.machine import write_found
from tasks.console.output import Screen
from tasks.core.folding import fold
from tasks.core.result import NodeResult


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
