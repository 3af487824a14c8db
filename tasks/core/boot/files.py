"""The files that a boot reads: which of them count, in what order, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tasks.core.facts import CONTINUED, FileFact, Line

# A name in an earlier folder masks the later ones (sysctl.d(5), modprobe.d(5), systemd.unit(5)). /run comes second in
# the manual pages, but it is empty at boot.
FOLDERS = ("/etc", "/usr/local/lib", "/usr/lib", "/lib")
MODULES, MODPROBE, SYSCTL = "modules-load.d", "modprobe.d", "sysctl.d"
COMMAND_LINE = "/proc/cmdline"


class Obstacle(NamedTuple):
    """Why something will not be there after the next boot: what stands in the way, and where."""

    why: str
    line: Line

    def __str__(self) -> str:
        return f"{self.line}: {self.why}" if self.line.path else self.why


_HEEDED = ("sysctl.", "sysctl/", "systemd.mask", "mod")  # what the names begin with


def kernel_arguments(command_line: str) -> tuple[tuple[str, str], ...]:
    """Names and values on the kernel's command line that concern modules, keys, and the services that set them.

    Blanks may stand between double quotes.
    """
    words = [word.replace('"', "") for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', command_line)]
    pairs = [(name, value) for name, _, value in (word.partition("=") for word in words)]
    return tuple(pair for pair in pairs if pair[0].startswith(_HEEDED))


class ReadOrder(NamedTuple):
    """Which files of a family are read, and in what order.

    folders: the first masks the others. masking: those whose names mask, if not all do. by_folder: whether they are
    read folder by folder, the first last, or by name over all of them. null_masks: whether a link to /dev/null masks
    as an empty file does.
    """

    folders: tuple[str, ...] = FOLDERS
    masking: tuple[str, ...] = FOLDERS
    by_folder: bool = False
    null_masks: bool = True


BY_NAME = ReadOrder()  # systemd's way, kmod's and procps'


def files_in_order(files: Mapping[str, FileFact], kind: str, reading: ReadOrder = BY_NAME) -> list[FileFact]:
    """The files of a family that count, in the order they are read."""
    chosen: dict[tuple[int, str, int], FileFact] = {}
    masked: set[str] = set()
    for rank, folder in enumerate(reading.folders):
        found = _named(files, f"{folder}/{kind}/", null_masks=reading.null_masks)
        group = -rank if reading.by_folder else 0
        chosen |= {(group, name, -rank): file for name, file in found.items() if name not in masked}
        masked |= set(found) if folder in reading.masking else set()
    return [chosen[place] for place in sorted(chosen)]


def _named(files: Mapping[str, FileFact], prefix: str, *, null_masks: bool) -> dict[str, FileFact]:
    """The files of one folder, by name."""
    paths = [path for path in files if path.startswith(prefix) and path.endswith(".conf")]
    return {path.removeprefix(prefix): files[path] for path in paths if null_masks or files[path].link != "/dev/null"}


def lines_of(files: Iterable[FileFact]) -> list[Line]:
    """The lines of files that are no comments, in order."""
    lines = (Line(file.path, number, text) for file in files for number, text in file.lines)
    return [line for line in lines if line.text.lstrip()[:1] not in ("#", ";", "")]


def join_continued(lines: Iterable[Line]) -> list[Line]:
    """Lines of modprobe.d(5): a backslash at the end of one goes on in the next."""
    found: list[Line] = []
    open_until: tuple[str, int] | None = None
    for line in lines:
        text = line.text.removesuffix(CONTINUED)
        if (line.path, line.number) == open_until:
            first = found.pop()
            found.append(Line(first.path, first.number, first.text, f"{first.more} {text}"))
        else:
            found.append(line)
        open_until = (line.path, line.number + 1) if line.text.endswith(CONTINUED) else None
    return found
