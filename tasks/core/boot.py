"""The next boot, told from a node's own files: what systemd will load and set, and which file and line decides.

Sources: modules-load.d(5), sysctl.d(5), modprobe.d(5), kernel-command-line(7), and what kernels did on the lab's nodes
(tests/lab/test_boot.py). Nodes without systemd are not simulated: nothing is claimed about their next boot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from tasks.core.facts import Facts, FileFact, ModuleState
from tasks.core.keys import MODULE, key_path

# A name in an earlier folder masks the later ones. /run comes second in the manual pages, but it is empty at boot.
FOLDERS = ("/etc", "/usr/local/lib", "/usr/lib", "/lib")
KINDS = ("modules-load.d", "modprobe.d", "sysctl.d")
UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
LOADER, SETTER = "systemd-modules-load.service", "systemd-sysctl.service"
UNITS = tuple(f"{folder}/{unit}" for unit in (LOADER, SETTER) for folder in UNIT_FOLDERS)
NOTHING = ("true", "false", ":")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, and where it stands; line 0 means the file as a whole, or no file at all."""

    path: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}" if self.number else self.path


NOWHERE = Line("", 0, "")


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the next boot sets a key to, and the line that says so."""

    value: str
    line: Line


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why something will not be there after the next boot: what stands in the way, and where."""

    why: str
    line: Line

    def __str__(self) -> str:
        return f"{self.line}: {self.why}" if self.line.path else self.why


class Boot:
    """The next boot of a node, if its files were as given.

    files: the node's configuration, by path, with our own files as they are going to be.
    """

    def __init__(self, facts: Facts, files: Mapping[str, FileFact]) -> None:
        self._facts, self._files = facts, files

    @property
    def simulated(self) -> bool:
        """Whether this node's boot is understood: it runs systemd."""
        return "/run/systemd/system" in self._facts.hidden

    def key(self, key: str) -> Assignment | None:
        """What the next boot sets a key to; None when no file does. A plain name beats any pattern."""
        path = key_path(key)
        if path in self._table:
            return self._table[path]
        globs = [found for glob, found in self._table.items() if found and _is_glob(glob) and _matches(path, glob)]
        return globs[-1] if globs else None

    def lines_for(self, key: str) -> list[Assignment]:
        """Every line that sets a key by its name, in the order in which they are read."""
        return [found for path, found in self._assignments if found and path == key_path(key)]

    @cached_property
    def _table(self) -> dict[str, Assignment | None]:
        """What systemd-sysctl ends up with: by path or pattern, in the order of the last mention; None: left out."""
        table: dict[str, Assignment | None] = {}
        for path, found in self._assignments:
            table.pop(path, None)
            table[path] = found
        return table

    @cached_property
    def _assignments(self) -> list[tuple[str, Assignment | None]]:
        """Every line of every sysctl.d file in order. `-key` without a value leaves that key out of all patterns."""
        found = []
        for line in self._lines["sysctl.d"]:
            name, equals, value = line.text.strip().partition("=")
            name = name.strip()
            if equals or name.startswith("-"):
                assignment = Assignment(" ".join(value.split()), line) if equals else None
                found.append((key_path(name.removeprefix("-")), assignment))
        return found

    def setter_obstacle(self) -> Obstacle | None:
        """Why no key at all is set at the next boot, if so."""
        return self._unit_obstacle(SETTER)

    def has_module(self, name: str) -> bool:
        """Whether this kernel has the module as one that is loaded, not built in."""
        return self._facts.module(name) in (ModuleState.LOADED, ModuleState.LOADABLE)

    def module_obstacle(self, name: str) -> Obstacle | None:
        """Why a module will not be there after the next boot; None if it will."""
        if self._facts.module(name) is ModuleState.BUILTIN:
            return None
        if own := self._forbidden(name) or self._forbidden_need(name) or self._unit_obstacle(LOADER):
            return own
        listed = [line for line in self._loads if self._brings(line.text.strip(), name)]
        reasons = [self._held_back(line.text.strip()) for line in listed]
        if any(reason is None for reason in reasons):
            return None
        return next(iter(reasons), None) or self._not_named(name)

    def _not_named(self, name: str) -> Obstacle:
        """No line loads the module; a pasted command that looks as if it did is named."""
        for line in self.pasted():
            if _normal(line.text.split()[-1]) == _normal(name):
                return Obstacle(f"`{line.text.strip()}` is no module name and loads nothing", line)
        return Obstacle("no file of modules-load.d names it", NOWHERE)

    @cached_property
    def _loads(self) -> list[Line]:
        """The lines of modules-load.d, and the kernel command line's modules_load=."""
        given = [name for names in self._arguments("modules_load") for name in names.split(",")]
        return [*(Line("/proc/cmdline", 0, name) for name in given), *self._lines["modules-load.d"]]

    def _brings(self, loaded: str, name: str) -> bool:
        """Whether loading one module has the other loaded: itself, or as something it depends on."""
        loaded, name = _normal(loaded), _normal(name)
        return loaded == name or name in self._facts.needs.get(loaded, ())

    def _held_back(self, name: str) -> Obstacle | None:
        """Why systemd-modules-load will not load a module that it is told to; dependencies escape a blacklist."""
        if blacklisted := self._modprobe("blacklist", name):
            return Obstacle(f"{name} is blacklisted", blacklisted)
        if listed := self._on_command_line("modprobe.blacklist", name):
            return Obstacle(f"{name} is blacklisted", listed)
        return self._forbidden(name) or self._forbidden_need(name)

    def _forbidden_need(self, name: str) -> Obstacle | None:
        needs = sorted(self._facts.needs.get(_normal(name), ()))
        obstacle = next((found for need in needs if (found := self._forbidden(need))), None)
        return Obstacle(f"{obstacle.why}, which {name} needs", obstacle.line) if obstacle else None

    def _forbidden(self, name: str) -> Obstacle | None:
        """Why a module will not be loaded by anything."""
        install = self._modprobe("install", name)
        command = install.text.split()[2:3] if install else []
        if install and command and command[0].rsplit("/", 1)[-1] in NOTHING:
            return Obstacle(f"modprobe runs {command[0]} instead of loading {name}", install)
        listed = self._on_command_line("module_blacklist", name)
        return Obstacle(f"the kernel refuses {name}", listed) if listed else None

    def _on_command_line(self, argument: str, module: str) -> Line | None:
        """The kernel's argument that has the module in its list."""
        for names in self._arguments(argument):
            if _normal(module) in map(_normal, names.split(",")):
                return Line("/proc/cmdline", 0, f"{argument}={names}")
        return None

    def _modprobe(self, verb: str, name: str) -> Line | None:
        """The first line of modprobe.d that says this of a module, by name or pattern: kmod takes the first."""
        for line in self._lines["modprobe.d"]:
            words = line.text.split()
            if words[:1] == [verb] and words[1:2] and fnmatchcase(_normal(name), _normal(words[1])):
                return line
        return None

    def _arguments(self, name: str) -> Iterator[str]:
        for word in (self._facts.values.get("/proc/cmdline") or "").split():
            key, _, value = word.partition("=")
            if key.replace("-", "_") == name:
                yield value

    def _unit_obstacle(self, unit: str) -> Obstacle | None:
        """A unit that is a link to /dev/null (or an empty file) in the first folder that has it is masked."""
        if unit in self._arguments("systemd.mask"):
            return Obstacle(f"{unit} is masked", Line("/proc/cmdline", 0, f"systemd.mask={unit}"))
        for folder in UNIT_FOLDERS:
            path = f"{folder}/{unit}"
            if self._facts.values.get(path) is not None:
                masked = path in self._facts.blank
                return Obstacle(f"{unit} is masked", Line(path, 0, "")) if masked else None
        return Obstacle(f"{unit} is not installed", Line(unit, 0, ""))

    @cached_property
    def _lines(self) -> dict[str, list[Line]]:
        """The lines that count of each family, in the order they are read."""
        return {kind: _lines_of(in_order(self._files, kind)) for kind in KINDS}

    def pasted(self) -> list[Line]:
        """Lines of modules-load.d that are no module names, such as a pasted `modprobe ip_vs`: they load nothing."""
        return [line for line in self._lines["modules-load.d"] if not MODULE.match(line.text.strip())]


def _lines_of(files: Iterable[FileFact]) -> list[Line]:
    lines = (Line(file.path, number, text) for file in files for number, text in file.lines)
    return [line for line in lines if line.text.lstrip()[:1] not in ("#", ";", "")]


def _matches(path: str, pattern: str) -> bool:
    """glob(7): a star stays between two slashes."""
    names, patterns = path.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def _is_glob(path: str) -> bool:
    return bool(re.search(r"[*?\[]", path))


def _normal(name: str) -> str:
    return name.replace("-", "_")


def in_order(files: Mapping[str, FileFact], kind: str) -> Sequence[FileFact]:
    """The files of a family that count, in the order they are read: by name, each name from its first folder only."""
    chosen: dict[str, FileFact] = {}
    for folder in FOLDERS:
        prefix = f"{folder}/{kind}/"
        for path in _below(files, prefix):
            chosen.setdefault(path.removeprefix(prefix), files[path])
    return [chosen[name] for name in sorted(chosen)]


def _below(files: Iterable[str], prefix: str) -> list[str]:
    return [path for path in files if path.startswith(prefix) and path.endswith(".conf")]
