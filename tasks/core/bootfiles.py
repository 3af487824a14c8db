"""The files that a boot reads: which of them count, in what order, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tasks.core.facts import FileFact

# A name in an earlier folder masks the later ones (sysctl.d(5), modprobe.d(5)). /run comes second in the manual pages,
# but it is empty at boot.
FOLDERS = ("/etc", "/usr/local/lib", "/usr/lib", "/lib")
MODULES, MODPROBE, SYSCTL = "modules-load.d", "modprobe.d", "sysctl.d"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, and where it stands; number 0 means the file as a whole, or no file at all.

    more: what the following lines add to it, where a backslash at its end goes on.
    """

    path: str
    number: int
    text: str
    more: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.number}" if self.number else self.path

    @property
    def words(self) -> list[str]:
        """The words of the whole line."""
        return f"{self.text.removesuffix(CONTINUED)} {self.more}".split() if self.more else self.text.split()


CONTINUED = "\\"
NOWHERE = Line("", 0, "")
COMMAND_LINE = "/proc/cmdline"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why something will not be there after the next boot: what stands in the way, and where."""

    why: str
    line: Line

    def __str__(self) -> str:
        return f"{self.line}: {self.why}" if self.line.path else self.why


def arguments(command_line: str) -> list[tuple[str, str]]:
    """The kernel's command line as names and values; blanks may stand between double quotes."""
    words = [word.replace('"', "") for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', command_line)]
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def in_order(
    files: Mapping[str, FileFact],
    kind: str,
    folders: Sequence[str] = FOLDERS,
    *,
    mask: bool = True,
    by_folder: Sequence[str] = (),
) -> list[FileFact]:
    """The files of a family that count, in the order they are read.

    By name; if mask, each name from the first of the folders that has it. by_folder: folders that are read one after
    the other, whatever the names.
    """
    chosen: dict[tuple[int, str, str], FileFact] = {}
    seen: set[str] = set()
    for folder in folders:
        prefix = f"{folder}/{kind}/"
        names = [path.removeprefix(prefix) for path in files if path.startswith(prefix) and path.endswith(".conf")]
        rank = by_folder.index(folder) if by_folder else 0
        chosen |= {(rank, name, folder): files[prefix + name] for name in names if not (mask and name in seen)}
        seen |= set(names)
    return [chosen[place] for place in sorted(chosen)]


def lines_of(files: Iterable[FileFact]) -> list[Line]:
    """The lines of files that are no comments, in order."""
    lines = (Line(file.path, number, text) for file in files for number, text in file.lines)
    return [line for line in lines if line.text.lstrip()[:1] not in ("#", ";", "")]


def joined(lines: Iterable[Line]) -> list[Line]:
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
