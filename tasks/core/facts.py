"""What a node says of itself: the probe's reply, parsed. Everything in it is untrusted text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tasks.core.kernel import key_path, normalize_module
from tasks.core.memo import memoized

SYSCTL_ROOT = "/proc/sys/"
CONTAINERS = ("/.dockerenv", "/run/.containerenv")


class ModuleState(StrEnum):
    """What a module is on the running kernel."""

    LOADED = "loaded"
    BUILTIN = "builtin"
    LOADABLE = "loadable"
    MISSING = "missing"


class UnitState(StrEnum):
    """What a folder of systemd's says of a unit: its file, a mask in its place, or a folder that alters it."""

    PRESENT = "present"
    MASKED = "masked"
    ALTERED = "altered"


class FileFact(NamedTuple):
    """A file of the node's configuration.

    kind: ls's letter (`-`, `l`, `d`); mode: permission bits; size: in bytes; link: a symlink's target. lines: (number,
    text) of each line that is not blank or a comment, and of the comment with our hash; none where we may not read.
    """

    path: str
    kind: str
    mode: int
    uid: int
    size: int
    link: str | None
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """One probe of one node.

    values: first line by path; None for an absent one. numbered: every line by path, but comments and blank ones.
    hidden: paths that exist and cannot be read, folders too. more: what only verify asks for, for core/join.py.
    loaded: as /proc/modules has them; in_sys: seen in /sys/module only; tree: the kernel's modules, by normal name,
    True for built in; shown: modules that only their keys tell of, as in a container; has_tree: whether there is a
    folder of modules for the running kernel at all; other_trees: if not, the kernels that have one. needs: by module,
    what it depends on, directly or not. units: by path, of systemd's units that load modules and set keys. holds: what
    a rollback asked and is so; history: all snapshots' lines, as `PATH:TEXT`, where root has asked for them.
    memory_mb: 0 where it is not told.
    """

    values: Mapping[str, str | None]
    present: frozenset[str]
    loaded: frozenset[str]
    sysfs_modules: frozenset[str]
    module_index: Mapping[str, bool]
    has_module_index: bool
    uid: int
    files: Mapping[str, FileFact]
    complaints: Mapping[tuple[str, str], str]
    modules_implied_by_keys: frozenset[str] = frozenset()
    dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict)
    other_kernels: tuple[str, ...] = ()
    units: Mapping[str, UnitState] = field(default_factory=dict)
    numbered: Mapping[str, Sequence[tuple[int, str]]] = field(default_factory=dict)
    extra_sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()
    snapshot_lines: tuple[str, ...] = ()
    memory_mb: int = 0

    def key(self, key: str) -> str | None:
        """A key's value with its blanks folded; None when the kernel has no such key or does not show it."""
        value = self.values.get(key_file(key))
        return None if value is None else " ".join(value.split())

    def has_key(self, key: str) -> bool:
        """Whether the kernel has the key, readable or not."""
        return self.exists(key_file(key))

    def exists(self, path: str) -> bool:
        """Whether a path that was looked at exists, readable or not."""
        return path in self.present or self.values.get(path) is not None

    def lines(self, path: str) -> tuple[str, ...]:
        """The lines of a configuration file that matter; none when it is absent or we may not read it."""
        return tuple(text for _, text in self.files[path].lines) if path in self.files else ()

    def texts(self, path: str) -> list[str]:
        """Every line of a file that was looked at, but comments and blank ones."""
        return [text for _, text in self.numbered.get(path, ())]

    def module(self, name: str) -> ModuleState:
        """What a module is here. Never by version: what the kernel shows decides."""
        name = normalize_module(name)
        if name in self.loaded:
            return ModuleState.LOADED
        if self.module_index.get(name) or name in self.sysfs_modules:
            return ModuleState.BUILTIN
        if name in self.module_index:
            return ModuleState.LOADABLE
        return ModuleState.BUILTIN if name in self.modules_implied_by_keys else ModuleState.MISSING

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Files and folders of the configuration that are there and that we, not being root, may not read."""
        needed = {"-": 0o004, "d": 0o005}  # what is in a folder that we may list and not enter is not seen either
        kinds = [(file, needed[file.kind]) for file in self.files.values() if self.uid and file.kind in needed]
        return tuple(file.path for file, bits in kinds if file.mode & bits != bits)

    @property
    def kernel(self) -> str:
        """The running kernel's release, such as 6.1.0-13-amd64."""
        return self.values.get("/proc/sys/kernel/osrelease") or "unknown"

    @property
    def container(self) -> str:
        """The kind of container this node is, or an empty text."""
        marks = [path for path in CONTAINERS if self.values.get(path) is not None]
        return self.values.get("/run/systemd/container") or ("container" if marks else "")

    @property
    def os_release(self) -> Mapping[str, str]:
        """os-release(5)'s assignments, such as ID; none where there is no such file."""
        fact = self.files.get("/etc/os-release")
        pairs = [line.partition("=") for _, line in (fact.lines if fact else ())]
        return {name: value.strip("\"'") for name, _, value in pairs}

    def for_templates(self) -> dict[str, object]:
        """What templates see as `facts`."""
        release = self.os_release
        return {
            "kernel": self.kernel,
            "hostname": self.values.get("/proc/sys/kernel/hostname") or "",
            "cpus": _cpus(self.values.get("/sys/devices/system/cpu/online") or "0"),
            "memory_mb": self.memory_mb,
            "distribution": release.get("ID", ""),
            "distribution_version": release.get("VERSION_ID", ""),
            "ipv6": "/proc/sys/net/ipv6" in self.present,
            "systemd": "/run/systemd/system" in self.present,
            "container": self.container,
        }


@memoized(maxsize=1024)  # those of the profiles, asked for again and again
def key_file(key: str) -> str:
    """A key's file below /proc/sys."""
    return SYSCTL_ROOT + key_path(key)


def _cpus(online: str) -> int:
    """`0-3,5` -> 5."""
    ranges = [part.split("-") for part in online.split(",") if re.fullmatch("[0-9]{1,9}(-[0-9]{1,9})?", part)]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ranges) or 1


class Line(NamedTuple):
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
