"""The node's script and the requests that carry it: fixed shell text from scripts/*.sh, then data, never mixed.

A request is `SCRIPT MARK DATA MARK`, its size announced before it. MARK is random for each connection, so nothing
that a login shell or a file on the node prints can pass for ours.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("scripts")


def new_mark() -> str:
    """A mark for one connection: 32 hexadecimal digits."""
    return secrets.token_hex(16)


@cache
def _compact(name: str) -> str:
    """A script without its comments and indentation: bytes that need not travel. A comment behind a command has a blank
    on both sides of its `#`, and no quote."""
    lines = (line.strip() for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines())
    return "\n".join(_COMMENT.sub("", line) for line in lines if line and not line.startswith("#"))


_COMMENT = re.compile(""" +# [^'"`]*$""")


def parts(instructions: Iterable[str], *, changes: bool) -> list[str]:
    """The parts of the script that instructions need; what can change anything, or looks at more, is only among them
    where that is asked for."""
    verbs = {line.partition(" ")[0] for line in instructions}
    more = ["kubeadm.sh"] if "listeners" in verbs else []
    writing = ["apply.sh", "lock.sh", "snapshot.sh"] if changes else []
    back = ["rollback.sh"] if changes and verbs & _functions("rollback.sh") else []
    return ["probe.sh", *more, *writing, *back]


@cache
def _functions(name: str) -> frozenset[str]:
    """The functions of a part; those that an instruction calls have its name."""
    return frozenset(re.findall(r"^(\w+)\(\) ", _compact(name), re.MULTILINE))


@cache
def script(names: Sequence[str]) -> str:
    """What runs on the node: how many lines are its own, the mark's too; parts; and what reads the instructions."""
    lines = "\n".join(map(_compact, (*names, "main.sh"))).splitlines()
    return "".join(f"{line}\n" for line in (f"own={len(lines) + 2}", *lines))


def request(mark: str, instructions: Sequence[str], *, changes: bool = False, known: set[str] | None = None) -> bytes:
    """One request. known: parts that the shell which will run it has already; those that go along are added.

    Raises ValueError if an instruction holds a line break or a NUL, which would make two of it.
    """
    lines = [f"boot {_compact('boot.sh')}", *instructions]
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
    """The exec request that receives the first request: fixed text, a number and hexadecimal digits."""
    return f"exec sh -c '{_compact('boot.sh')}' nodeprep {size} {mark}"
