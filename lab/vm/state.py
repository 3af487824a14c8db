"""Read and write lab.json, which keeps a state folder's nodes between two commands."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.vm.process import Process

LAB_JSON, NODES = "lab.json", "nodes"


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """Describe one node.

    port: the one on 127.0.0.1 that leads to its sshd. user: the login user in the shipped hosts.ini. release: its
    flavour. process: its QEMU, None if it was never started.
    """

    name: str
    port: int
    user: str
    release: str
    process: Process | None = None


def load(folder: Path) -> list[NodeRecord]:
    """Return the nodes of a state folder; none if it holds no lab."""
    path = folder / LAB_JSON
    if not path.exists():
        return []
    return [_record(node) for node in json.loads(path.read_text())["nodes"]]


def save(folder: Path, nodes: Sequence[NodeRecord]) -> None:
    """Write lab.json anew. A reader sees the old file or the new one, never a part."""
    path = folder / LAB_JSON
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"nodes": [asdict(node) for node in nodes]}, indent=2) + "\n")
    fresh.replace(path)


def remember(folder: Path, record: NodeRecord) -> None:
    """Write one node to lab.json, in place of its former record."""
    _replace(folder, record.name, [record])


def forget(folder: Path, name: str) -> None:
    """Remove one node from lab.json."""
    _replace(folder, name, [])


def _replace(folder: Path, name: str, records: Sequence[NodeRecord]) -> None:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = [node for node in load(folder) if node.name != name]
        save(folder, sorted([*others, *records], key=lambda node: node.port))
    finally:
        os.close(lock)


def _record(node: dict[str, object]) -> NodeRecord:
    process = node.pop("process")
    found = Process(**process) if isinstance(process, dict) else None
    return NodeRecord(**node, process=found)  # type: ignore[arg-type]  # our own file; a wrong one fails here
