"""Write cpio archives in the "newc" format, the only one that a kernel unpacks as its first root."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """Describe one file or folder of an archive. mode: with the type bits. owner: both the uid and the gid."""

    path: str
    mode: int
    content: bytes = b""
    owner: int = 0


def folder(path: str, mode: int = 0o755, owner: int = 0) -> Entry:
    """Return the entry of a folder. mode: the permission bits alone."""
    return Entry(path, stat.S_IFDIR | mode, owner=owner)


def file(path: str, content: bytes, mode: int = 0o644, owner: int = 0) -> Entry:
    """Return the entry of a regular file. mode: the permission bits alone."""
    return Entry(path, stat.S_IFREG | mode, content, owner)


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the entries as one archive. A folder has to come before its files: the kernel creates none by itself."""
    now = int(time.time())
    members = [_member(entry, number, now) for number, entry in enumerate(entries, 1)]
    return b"".join(members) + _member(Entry("TRAILER!!!", 0), 0, 0)


def _member(entry: Entry, inode: int, changed: int) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, entry.owner, entry.owner, links, changed, len(entry.content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
