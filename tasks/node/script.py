"""Requests to a node: fixed shell text from scripts/*.sh, then data, never mixed.

A request is `SCRIPT MARK DATA MARK`; its size is announced before it. MARK is random for each connection, so nothing
that a login shell or a file of the node prints can pass for our own text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from tasks.core.protocol.instructions import find_listeners, receive_with

_FOLDER = Path(__file__).with_name("scripts")


def new_mark() -> str:
    """Return a mark for one connection: 32 random hexadecimal digits."""
    return secrets.token_hex(16)


@cache
def _compact(name: str) -> str:
    """Return a script without its comments and indentation, which need not travel.

    A comment behind a command has a blank on both sides of its `#`, and no quote.
    """
    lines = (line.strip() for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines())
    return "\n".join(_COMMENT.sub("", line) for line in lines if line and not line.startswith("#"))


_LISTENERS = find_listeners("").strip()
_COMMENT = re.compile(""" +# [^'"`]*$""")


def parts(instructions: Iterable[str], *, changes: bool) -> list[str]:
    """Return the parts of the script that instructions need. Only with `changes` one of them can change anything."""
    verbs = {line.partition(" ")[0] for line in instructions}
    more = ["kubeadm.sh"] if _LISTENERS in verbs else []
    writing = ["apply.sh", "lock.sh", "snapshot.sh"] if changes else []
    back = ["rollback.sh"] if changes and verbs & _functions("rollback.sh") else []
    return ["probe.sh", *more, *writing, *back]


@cache
def _functions(name: str) -> frozenset[str]:
    """Return the names of a part's functions; an instruction calls the one of its name."""
    return frozenset(re.findall(r"^(\w+)\(\) ", _compact(name), re.MULTILINE))


@cache
def script(names: Sequence[str]) -> str:
    """Return the shell text of a request: the number of its lines with the mark's, the parts, and main.sh."""
    lines = "\n".join(map(_compact, (*names, "main.sh"))).splitlines()
    return "".join(f"{line}\n" for line in (f"own={len(lines) + 2}", *lines))


def request(mark: str, instructions: Sequence[str], *, changes: bool = False, known: set[str] | None = None) -> bytes:
    """Return a request. known: parts that the shell has already; parts that this request brings are added.

    Raises ValueError if an instruction holds a line break, a NUL or the mark, which would end it early.
    """
    lines = [receive_with(_compact("boot.sh")), *instructions]
    data = "\n".join(lines)
    if data.count("\n") != len(lines) - 1 or "\0" in data or mark in data:
        bad = next(line for line in lines if "\n" in line or "\0" in line or mark in line)
        raise ValueError(f"an instruction must be one line of text: {bad!r}")
    known = set() if known is None else known
    new = tuple(part for part in parts(instructions, changes=changes) if part not in known)
    known.update(new)
    text = script(new)
    return f"{text}{mark}\n{data}\n{mark}".encode()


def command(mark: str, size: int) -> str:
    """Return the command that receives the first request: fixed text, a number and hexadecimal digits."""
    return f"exec sh -c '{_compact('boot.sh')}' nodeprep {size} {mark}"
