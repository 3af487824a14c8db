"""The facts of one node: the parsed reply of a probe. Every text in it is untrusted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tasks.core.kernel import key_path, normalize_module
from tasks.core.memo import memoized
from tasks.core.sanitize import sanitize

SYSCTL_ROOT = "/proc/sys/"
MAX_RELEASE = 64  # characters, with the closing NUL 65: __NEW_UTS_LEN in linux/utsname.h
CONTAINERS = ("/.dockerenv", "/run/.containerenv")


class ModuleState(StrEnum):
    """The state of a module on the running kernel."""

    LOADED = "loaded"
    BUILTIN = "builtin"
    LOADABLE = "loadable"
    MISSING = "missing"


class UnitState(StrEnum):
    """The state of a unit in one of systemd's folders: its file, a mask in its place, or a folder of drop-ins."""

    PRESENT = "present"
    MASKED = "masked"
    ALTERED = "altered"


class FileFact(NamedTuple):
    """A file of the node's configuration.

    kind: ls's letter (`-`, `l`, `d`); mode: permission bits; size: in bytes; link: a symlink's target. lines: (number,
    text) of each line that is not blank or a comment, and of the comment with our hash; none where it is not readable.
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

    values: first line by path, None for an absent one. present: paths that exist, of which the content is not read.
    loaded: modules as /proc/modules has them. sysfs_modules: modules found in /sys/module only. module_index: the
    kernel's modules by normalized name, True for one built in. has_module_index: there is a folder of modules for the
    running kernel. uid: the user's number. files: the configuration by path. complaints: the node's error texts by
    instruction and name. modules_implied_by_keys: modules whose keys exist, as in a container. dependencies: by module,
    every module that it needs, directly or not. other_kernels: where the running kernel has no folder of modules, the
    kernels that have one. units: by path, of systemd's units that load modules and set keys. numbered: every line by
    path, without comments and blank lines. extra_sections: the parts of the reply that only verify requests
    (core/kubeadm). confirmed: the questions of a rollback that hold. snapshot_lines: the lines of all snapshots as
    `PATH:TEXT`, if root requested them. memory_mb: 0 where it is not known.
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
        """Return a key's value with its blanks folded, None where the kernel has no such key or it is not readable."""
        value = self.values.get(key_file(key))
        return None if value is None else " ".join(value.split())

    def has_key(self, key: str) -> bool:
        """Return whether the kernel has the key, readable or not."""
        return self.exists(key_file(key))

    def exists(self, path: str) -> bool:
        """Return whether a path that was probed exists, readable or not."""
        return path in self.present or self.values.get(path) is not None

    def lines(self, path: str) -> tuple[str, ...]:
        """Return the significant lines of a configuration file, none where it is absent or not readable."""
        return tuple(text for _, text in self.files[path].lines) if path in self.files else ()

    def texts(self, path: str) -> list[str]:
        """Return the lines of a file that was probed, without comments and blank lines."""
        return [text for _, text in self.numbered.get(path, ())]

    def module(self, name: str) -> ModuleState:
        """Return the state of a module by the evidence of the kernel, never by its version."""
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
        """Return the files and folders of the configuration that exist and that this user may not read."""
        needed = {"-": 0o004, "d": 0o005}  # a folder that may be listed and not entered hides its files as well
        kinds = [(file, needed[file.kind]) for file in self.files.values() if self.uid and file.kind in needed]
        return tuple(file.path for file, bits in kinds if file.mode & bits != bits)

    @property
    def kernel(self) -> str:
        """Return the running kernel's release, such as 6.1.0-13-amd64; harmless, for it is written into files."""
        return sanitize(self.values.get("/proc/sys/kernel/osrelease") or "unknown")[:MAX_RELEASE]

    @property
    def container(self) -> str:
        """Return the kind of container that this node is, an empty text if it is not a container."""
        marks = [path for path in CONTAINERS if self.values.get(path) is not None]
        return self.values.get("/run/systemd/container") or ("container" if marks else "")

    @property
    def os_release(self) -> Mapping[str, str]:
        """Return the assignments of os-release(5), such as ID; none where there is no such file."""
        fact = self.files.get("/etc/os-release")
        pairs = [line.partition("=") for _, line in (fact.lines if fact else ())]
        return {name: value.strip("\"'") for name, _, value in pairs}

    def for_templates(self) -> dict[str, object]:
        """Return the variables that templates see as `facts`."""
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


@memoized(maxsize=1024)  # the keys of the profiles, for each node
def key_file(key: str) -> str:
    """Return a key's file below /proc/sys."""
    return SYSCTL_ROOT + key_path(key)


def _cpus(online: str) -> int:
    """Return the number of processors in a list such as `0-3,5` (5), at least 1."""
    ranges = [part.split("-") for part in online.split(",") if re.fullmatch("[0-9]{1,9}(-[0-9]{1,9})?", part)]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ranges) or 1


class Line(NamedTuple):
    """A line of a file, and its place. number: 0 for the file as a whole, or for no file at all.

    more: the text of the following lines, where a backslash at its end continues it.
    """

    path: str
    number: int
    text: str
    more: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.number}" if self.number else self.path

    @property
    def words(self) -> list[str]:
        """Return the words of the line with its continuation."""
        return f"{self.text.removesuffix(CONTINUED)} {self.more}".split() if self.more else self.text.split()


CONTINUED = "\\"
NOWHERE = Line("", 0, "")
