"""The files that a boot reads: those that count, in the order in which they are read, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from tasks.core.facts import CONTINUED, FileFact, Line

# A file in an earlier folder masks one of the same name in a later folder (sysctl.d(5), modprobe.d(5),
# systemd.unit(5)). /run comes second in the manual pages, but it is empty at boot.
FOLDERS = ("/etc", "/usr/local/lib", "/usr/lib", "/lib")
MODULES, MODPROBE, SYSCTL = "modules-load.d", "modprobe.d", "sysctl.d"
COMMAND_LINE = "/proc/cmdline"


class ObstacleKind(Enum):
    """The kind of an obstacle: a line or the lack of one, or systemd's unit that is masked or not installed."""

    LINE = "line"
    UNIT_MASKED = "unit masked"
    UNIT_MISSING = "unit missing"


class Obstacle(NamedTuple):
    """The reason that something will not be there after the next boot.

    why: the reason as a sentence. line: where it stands; of a unit that is not installed the path is the unit's name.
    following: lines that are the obstacle in turn if this line and those before them are gone.
    """

    why: str
    line: Line
    kind: ObstacleKind = ObstacleKind.LINE
    following: tuple[Line, ...] = ()

    def __str__(self) -> str:
        return f"{self.line}: {self.why}" if self.line.path else self.why


_RELEVANT = ("sysctl.", "sysctl/", "systemd.mask", "mod")  # the beginnings of the names


def kernel_arguments(command_line: str) -> tuple[tuple[str, str], ...]:
    """Parse a kernel command line: the names and values that concern modules, keys, and the units that set them.

    A value between double quotes may have blanks.
    """
    words = [word.replace('"', "") for word in re.findall(r'(?:[^\s"]++|"[^"]*+"?)++', command_line)]
    pairs = [(name, value) for name, _, value in (word.partition("=") for word in words)]
    return tuple(pair for pair in pairs if pair[0].startswith(_RELEVANT))


class ReadOrder(NamedTuple):
    """The files of one kind that a program reads, and their order.

    folders: a name in an earlier one masks the later ones. masking: the folders of which the names mask. by_folder: the
    files are read folder by folder, those of the first folder last; else by name over all folders. null_masks: a link
    to /dev/null masks as an empty file does.
    """

    folders: tuple[str, ...] = FOLDERS
    masking: tuple[str, ...] = FOLDERS
    by_folder: bool = False
    null_masks: bool = True


BY_NAME = ReadOrder()  # the order of systemd, kmod and procps


def files_in_order(files: Mapping[str, FileFact], kind: str, reading: ReadOrder = BY_NAME) -> list[FileFact]:
    """Return the files of a kind that are not masked, in the order in which they are read."""
    chosen: dict[tuple[int, str, int], FileFact] = {}
    masked: set[str] = set()
    for rank, folder in enumerate(reading.folders):
        found = _files_of_folder(files, f"{folder}/{kind}/", null_masks=reading.null_masks)
        group = -rank if reading.by_folder else 0
        chosen |= {(group, name, -rank): file for name, file in found.items() if name not in masked}
        masked |= set(found) if folder in reading.masking else set()
    return [chosen[place] for place in sorted(chosen)]


def _files_of_folder(files: Mapping[str, FileFact], prefix: str, *, null_masks: bool) -> dict[str, FileFact]:
    """Return the files of one folder, by name."""
    paths = [path for path in files if path.startswith(prefix) and path.endswith(".conf")]
    return {path.removeprefix(prefix): files[path] for path in paths if null_masks or files[path].link != "/dev/null"}


def lines_of(files: Iterable[FileFact]) -> list[Line]:
    """Return the lines of files in order, without comments."""
    lines = (Line(file.path, number, text) for file in files for number, text in file.lines)
    return [line for line in lines if line.text.lstrip()[:1] not in ("#", ";", "")]


def join_continued(lines: Iterable[Line]) -> list[Line]:
    """Join the lines of modprobe.d(5): a backslash at the end continues a line in the next one."""
    found: list[tuple[Line, list[str]]] = []
    open_until: tuple[str, int] | None = None
    for line in lines:
        if (line.path, line.number) == open_until:
            found[-1][1].append(line.text.removesuffix(CONTINUED))
        else:
            found.append((line, []))
        open_until = (line.path, line.number + 1) if line.text.endswith(CONTINUED) else None
    return [Line(*first[:3], "".join(f" {text}" for text in more)) if more else first for first, more in found]
