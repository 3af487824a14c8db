"""The sysctl keys that a boot sets: every write in its order, and the last one of each key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tasks.core.boot.files import SYSCTL
from tasks.core.boot.globs import Glob, check_pattern_count, is_glob
from tasks.core.boot.inits import Dialect
from tasks.core.facts import Line
from tasks.core.kernel import ALIASES, MUTUALLY_EXCLUSIVE, key_path, parse_integer


class Assignment(NamedTuple):
    """A value for a key, and the line that assigns it. value: None where that line leaves the key out."""

    value: str | None
    line: Line


class SetterRun(NamedTuple):
    """One run of a program that sets keys: the lines that it reads, in order, and its dialect."""

    lines: tuple[Line, ...]
    dialect: Dialect


class BootWrite(NamedTuple):
    """A write to a path below /proc/sys or to a pattern of paths.

    named: paths that a pattern does not reach. globs: of a pattern, one for each step of the path.
    """

    path: str
    found: Assignment
    named: frozenset[str]
    globs: tuple[Glob, ...] = ()

    def reaches(self, path: str) -> bool:
        """Return whether it writes to a path."""
        if self.found.value is None or self.path == path:
            return self.found.value is not None
        return bool(self.globs) and path not in self.named and _matches(path, self.globs)


class BootWrites:
    """All writes of a boot in order, and the keys that lines leave out."""

    def __init__(self, runs: Iterable[SetterRun]) -> None:
        self._all: list[BootWrite] = []
        self._assigned: dict[str, list[Assignment]] = {}
        for run in runs:
            pairs = [pair for line in run.lines for pair in parse_assignments(line, run.dialect)]
            self._all += _find_writes(pairs, run.dialect)
            for path, found in pairs:
                self._assigned.setdefault(_simple(path), []).append(found)
        self._patterns = [number for number, write in enumerate(self._all) if write.globs]
        check_pattern_count(len(self._patterns), f"/{SYSCTL}/")
        self._by_path: dict[str, list[int]] = {}
        for number, write in enumerate(self._all):
            self._by_path.setdefault(write.path, []).append(number)
        self._last: dict[str, Assignment | None] = {}

    def last(self, key: str) -> Assignment | None:
        """Return the assignment that a key has after a boot, None if nothing is written to it.

        Its value is None where a line leaves the key out. A write to the key's alias counts as well, and one to the key
        that excludes it leaves 0.
        """
        if key not in self._last:
            self._last[key] = self._find_last(key)
        return self._last[key]

    def history(self, key: str) -> list[Assignment]:
        """Return the last assignment of a key, and those that take its place in turn if it is removed.

        The earlier ones are only known where all lines about the key have the same name for it.
        """
        path, last = key_path(key), self.last(key)
        written = self._assigned.get(path, ())
        names = {path, ALIASES.get(path, ""), MUTUALLY_EXCLUSIVE.get(path, "")} - {""}
        writes = (write for write in self._writes_to(*names) if write.path != path)
        others = any(write.path in names or any(_matches(name, write.globs) for name in names) for write in writes)
        if not last or others or any(found.value is None for found in written):
            return [last] if last else []
        return list(reversed(written))

    def _find_last(self, key: str) -> Assignment | None:
        path = key_path(key)
        alias, excluding = ALIASES.get(path, ""), MUTUALLY_EXCLUSIVE.get(path, "")
        writes = list(self._writes_to(path, alias, excluding))
        found = next((write.found for write in writes if write.path == path and write.found.value is None), None)
        for write in writes:
            if write.reaches(path) or (alias and write.reaches(alias)):
                found = write.found
            elif excluding and write.reaches(excluding) and parse_integer(write.found.value or "0"):
                found = Assignment("0", write.found.line)
        return found

    def _writes_to(self, *paths: str) -> Iterator[BootWrite]:
        """Return the writes that may reach one of these paths, in order."""
        numbers = {*self._patterns, *(number for path in paths for number in self._by_path.get(path, ()))}
        return (self._all[number] for number in sorted(numbers))


def _find_writes(pairs: Sequence[tuple[str, Assignment]], dialect: Dialect) -> list[BootWrite]:
    named = frozenset(path for path, _ in pairs)
    kept = _last_of_each(pairs) if dialect is Dialect.SYSTEMD else [pair for pair in pairs if pair[1].value is not None]
    return [BootWrite(simple := _simple(path), found, named, _globs(simple)) for path, found in kept]


def parse_assignments(line: Line, dialect: Dialect) -> list[tuple[str, Assignment]]:
    """Parse a line to a path or pattern and its value. `-key` without a value leaves that key out of all patterns."""
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
    """Return the path of a name, None if there is none. A blank after the dash is part of the name for procps."""
    name = name.removeprefix("-")
    return None if name[:1].isspace() else key_path(name)


def _busybox_path(name: str) -> str | None:
    """Return the path of a name, None for a dash, a pattern, or a slash in front, which leaves /proc/sys."""
    return None if name.startswith(("-", "/")) or is_glob(name) else key_path(name)


def _simple(path: str) -> str:
    return (re.sub("/+", "/", path) if "//" in path else path).removeprefix("/")


_PATHS: Mapping[Dialect, Callable[[str], str | None]] = {
    Dialect.SYSTEMD: _systemd_path,
    Dialect.PROCPS: _procps_path,
    Dialect.BUSYBOX: _busybox_path,
}


def _last_of_each(pairs: Iterable[tuple[str, Assignment]]) -> list[tuple[str, Assignment]]:
    """Return the last value of each path, in the order of systemd-sysctl's table.

    Another value moves its path to the end, the same value keeps the place. A path that is left out is kept only where
    it was set before, so that the line can be named.
    """
    table: dict[str, Assignment] = {}
    for path, found in pairs:
        if path in table and table[path].value != found.value:
            del table[path]
        elif path not in table and found.value is None:
            continue
        table[path] = found
    return list(table.items())


def _globs(path: str) -> tuple[Glob, ...]:
    """Return the steps of a pattern, nothing for a plain path."""
    return tuple(map(Glob, path.split("/"))) if is_glob(path) else ()


def _matches(path: str, globs: Sequence[Glob]) -> bool:
    """Return whether a path matches a pattern of glob(7): a star matches no slash."""
    names = path.split("/")
    return len(names) == len(globs) and all(glob.matches(name) for glob, name in zip(globs, names, strict=True))
