"""The node's script and the requests that carry it: fixed shell text from node/*.sh, then data, never mixed.

A request is `SCRIPT MARK DATA MARK`, its size announced before it. MARK is random for each connection, so nothing
that a login shell or a file on the node prints can pass for ours.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("node")


def new_mark() -> str:
    """A mark for one connection: 32 hexadecimal digits."""
    return secrets.token_hex(16)


@cache
def _compact(name: str) -> str:
    """A script without its comments and indentation: bytes that need not travel."""
    lines = (line.strip() for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))


@cache
def script(*, changes: bool, joins: bool = False) -> str:
    """What runs on the node; what can change anything, or looks at more, is only in it where that is asked for."""
    more = ("join.sh",) if joins else ()
    writing = ("apply.sh", "lock.sh", "snapshot.sh", "rollback.sh") if changes else ()
    parts = ("probe.sh", *more, *writing, "main.sh")
    return "\n".join(_compact(part) for part in parts) + "\n"


def request(mark: str, instructions: Iterable[str], *, changes: bool = False) -> bytes:
    """One request. Raises ValueError if an instruction holds a line break or a NUL, which would make two of it."""
    lines = [f"boot {_compact('boot.sh')}", *instructions]
    if bad := next((line for line in lines if "\n" in line or "\0" in line or mark in line), None):
        raise ValueError(f"an instruction must be one line of text: {bad!r}")
    data = "\n".join(lines)
    joins = any(line.startswith("listeners ") for line in lines)
    return f"{script(changes=changes, joins=joins)}{mark}\n{data}\n{mark}".encode()


def command(mark: str, size: int) -> str:
    """The exec request that receives the first request: fixed text, a number and hexadecimal digits."""
    return f"exec sh -c '{_compact('boot.sh')}' nodeprep {size} {mark}"
