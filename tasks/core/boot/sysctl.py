"""What a boot makes of the sysctl keys: every write in the order in which it happens, and which one is the last."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from tasks.core.boot.inits import Dialect
from tasks.core.facts import Line
from tasks.core.kernel import ALIASES, MUTUALLY_EXCLUSIVE, key_path, parse_integer


class Assignment(NamedTuple):
    """What the next boot sets a key to, and the line that says so. value None: that line leaves the key out."""

    value: str | None
    line: Line


class SetterRun(NamedTuple):
    """One run of a program that sets keys: the lines that it reads, in order, and how it takes them."""

    lines: tuple[Line, ...]
    dialect: Dialect


class BootWrite(NamedTuple):
    """A path below /proc/sys, or a pattern of paths, and what is written there. named: paths no pattern may touch."""

    path: str
    found: Assignment
    named: frozenset[str]

    def reaches(self, path: str) -> bool:
        """Whether it writes to a path."""
        if self.found.value is None or self.path == path:
            return self.found.value is not None
        return path not in self.named and _is_glob(self.path) and _matches(path, self.path)


class BootWrites:
    """Everything that is written at boot, in order, and what is expressly left out."""

    def __init__(self, runs: Iterable[SetterRun]) -> None:
        self._all = [write for run in runs for write in _find_writes(run)]
        self._patterns = [number for number, write in enumerate(self._all) if _is_glob(write.path)]
        self._by_path: dict[str, list[int]] = {}
        for number, write in enumerate(self._all):
            self._by_path.setdefault(write.path, []).append(number)
        self._last: dict[str, Assignment | None] = {}

    def last(self, key: str) -> Assignment | None:
        """What a boot leaves in a key; None when nothing is written to it, a value of None when a line forbids that.

        A write to the key's twin counts, too, and one to its rival leaves 0.
        """
        if key not in self._last:
            self._last[key] = self._find_last(key)
        return self._last[key]

    def _find_last(self, key: str) -> Assignment | None:
        path = key_path(key)
        twin, rival = ALIASES.get(path, ""), MUTUALLY_EXCLUSIVE.get(path, "")
        writes = list(self._writes_to(path, twin, rival))
        found = next((write.found for write in writes if write.path == path and write.found.value is None), None)
        for write in writes:
            if write.reaches(path) or (twin and write.reaches(twin)):
                found = write.found
            elif rival and write.reaches(rival) and parse_integer(write.found.value or "0"):
                found = Assignment("0", write.found.line)
        return found

    def _writes_to(self, *paths: str) -> Iterator[BootWrite]:
        """The writes that may reach one of these paths, in order."""
        numbers = {*self._patterns, *(number for path in paths for number in self._by_path.get(path, ()))}
        return (self._all[number] for number in sorted(numbers))


def _find_writes(run: SetterRun) -> list[BootWrite]:
    pairs = [pair for line in run.lines for pair in parse_assignments(line, run.dialect)]
    named = frozenset(path for path, _ in pairs)
    table = run.dialect is Dialect.SYSTEMD
    kept = _table(pairs) if table else [pair for pair in pairs if pair[1].value is not None]
    return [BootWrite(_simple(path), found, named) for path, found in kept]


def parse_assignments(line: Line, dialect: Dialect) -> list[tuple[str, Assignment]]:
    """A line as path or pattern and value; `-key` without a value leaves that key out of all patterns."""
    name, equals, value = line.text.strip().partition("=")
    if not equals and (dialect is Dialect.BUSYBOX or not name.startswith("-")):
        return []
    path = _PATHS[dialect](name.strip())
    if path is None:
        return []
    value = value.partition("#")[0] if dialect is Dialect.BUSYBOX else value  # busybox: a comment may end a line
    return [(path, Assignment(" ".join(value.split()) if equals else None, line))]


def _systemd_path(name: str) -> str:
    return _simple(key_path(name.removeprefix("-").strip()))


def _procps_path(name: str) -> str | None:
    """procps takes a blank after the dash for a part of the name, and `/a/b` for another name than `a/b`."""
    name = name.removeprefix("-")
    return None if name[:1].isspace() else key_path(name)


def _busybox_path(name: str) -> str | None:
    """busybox knows no dash and no pattern, and a slash in front leads it out of /proc/sys."""
    return None if name.startswith(("-", "/")) or _is_glob(name) else key_path(name)


def _simple(path: str) -> str:
    return (re.sub("/+", "/", path) if "//" in path else path).removeprefix("/")


_PATHS: Mapping[Dialect, Callable[[str], str | None]] = {
    Dialect.SYSTEMD: _systemd_path,
    Dialect.PROCPS: _procps_path,
    Dialect.BUSYBOX: _busybox_path,
}


def _table(pairs: Iterable[tuple[str, Assignment]]) -> list[tuple[str, Assignment]]:
    """systemd-sysctl's table: the last value of each path, in the order in which the values came.

    Another value goes to the end, the same one keeps its place. A path that is left out stays only where it was set
    before: that is worth knowing.
    """
    table: dict[str, Assignment] = {}
    for path, found in pairs:
        if path in table and table[path].value != found.value:
            del table[path]
        elif path not in table and found.value is None:
            continue
        table[path] = found
    return list(table.items())


def _matches(path: str, pattern: str) -> bool:
    """glob(7): a star stays between two slashes."""
    names, patterns = path.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def _is_glob(path: str) -> bool:
    return "*" in path or "?" in path or "[" in path
