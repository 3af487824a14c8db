"""Read a peer's work from the folder that bench/run.py fills."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["BENCH_FOLDER"])
PORT = int(os.environ["BENCH_PORT"])
FORKS = int(os.environ["BENCH_FORKS"])
KEY = FOLDER / "id_ed25519"


def hosts() -> list[str]:
    """Return the nodes' addresses."""
    return (FOLDER / "hosts").read_text(encoding="ascii").split()


def script() -> str:
    """Return the whole work of one node as a shell script."""
    return (FOLDER / "apply.sh").read_text(encoding="utf-8")


def work() -> Any:
    """Return the same work as data: modules, sysctl, modules_file, sysctl_file."""
    return json.loads((FOLDER / "work.json").read_text(encoding="utf-8"))


def known_hosts() -> dict[str, str]:
    """Return address -> Ed25519 host key in Base64 of all nodes."""
    lines = (line.split() for line in (FOLDER / "known_hosts").read_text(encoding="ascii").splitlines())
    return {name[1 : name.index("]")]: key for name, _, key in lines}


def report(host: str, text: str, code: int) -> bool:
    """Print how many items of a node are ok, changed or failed; return True if none failed and all lines were items."""
    words = [line.split(" ", 1)[0] for line in text.splitlines()]
    counts = {word: words.count(word) for word in ("ok", "changed", "failed")}
    print(host, counts)
    return code == 0 and not counts["failed"] and sum(counts.values()) == len(words)
