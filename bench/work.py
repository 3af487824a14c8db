"""Describe the work of all drivers, the profile `kubernetes` as `fab render` resolves it, and check it from outside.

The nodes of a fleet are alike, so the files of one node are those of all: plain ones, where nodeprep keeps them. A peer
gets them as they are, as lists, or as one POSIX shell script, whichever suits it best.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.fleet.fleet import Fleet

MODULES_FILE = "/etc/modules-load.d/nodeprep-kubernetes.conf"
SYSCTL_FILE = "/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf"


def proc_path(key: str) -> str:
    """Return the path of a key below /proc/sys."""
    return "/proc/sys/" + key.replace(".", "/")


def _lines(text: str) -> list[str]:
    """Return the lines of a file without blank ones and comments."""
    return [line for raw in text.splitlines() if (line := raw.strip()) and line[0] not in "#;"]


def _keys(text: str) -> dict[str, str]:
    """Return key -> value of the lines of a sysctl.conf, with single blanks within a value."""
    pairs = (line.partition("=") for line in _lines(text))
    return {key.strip(): " ".join(value.split()) for key, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Work:
    """Hold the desired state of a node: the text of its two files, and by them the modules and keys."""

    modules_text: str
    sysctl_text: str

    @classmethod
    def from_show(cls, document: str) -> Work:
        """Parse the output of `fab -H … render --format json`. Raises KeyError if a file is missing."""
        files: Mapping[str, str] = next(iter(json.loads(document)["files"].values()))
        return cls(files[MODULES_FILE], files[SYSCTL_FILE])

    @property
    def modules(self) -> list[str]:
        """Return the modules to load."""
        return _lines(self.modules_text)

    @property
    def keys(self) -> dict[str, str]:
        """Return key -> value of the keys to set."""
        return _keys(self.sysctl_text)

    @property
    def items(self) -> int:
        """Return the number of items to report: both files, the modules, the keys."""
        return 2 + len(self.modules) + len(self.keys)

    def document(self) -> str:
        """Return the work as JSON: modules, sysctl, modules_file, sysctl_file."""
        files = {"modules_file": MODULES_FILE, "sysctl_file": SYSCTL_FILE}
        return json.dumps({**files, "modules": self.modules, "sysctl": self.keys})

    def script(self) -> str:
        """Return the work as a POSIX shell script. For each item it prints `ok|changed|failed KIND NAME`.

        It exits with 1 if an item failed.
        """
        text = (Path(__file__).parent / "peers" / "apply.sh.in").read_text(encoding="utf-8")
        places = {
            "MODULES_FILE": MODULES_FILE,
            "SYSCTL_FILE": SYSCTL_FILE,
            "MODULES_TEXT": shlex.quote(self.modules_text),
            "SYSCTL_TEXT": shlex.quote(self.sysctl_text),
            "MODULES": " ".join(self.modules),
            "NAMES": " ".join(self.keys),
            "KEYS": "\n".join(f"  $1 {shlex.quote(f'{key} = {value}')}" for key, value in self.keys.items()),
        }
        return re.sub("@([A-Z_]+)@", lambda found: places[found[1]], text)

    def files(self) -> dict[str, str]:
        """Return path -> text of the files of a fleet's node that is in this state already."""
        return {
            MODULES_FILE: self.modules_text,
            SYSCTL_FILE: self.sysctl_text,
            "/proc/modules": "".join(f"{name} 16384 0 - Live 0x0000000000000000\n" for name in self.modules),
            **{f"/sys/module/{name}/.here": "" for name in self.modules},
            **{proc_path(key): f"{value}\n" for key, value in self.keys.items()},
        }

    def wrong(self, root: Path) -> list[str]:
        """Return what differs from this state, read from the files of a node's own layer; empty if nothing does.

        root: the folder of that layer.
        """
        loaded = {line.split()[0] for line in _read(root, "/proc/modules").splitlines()}
        kept_modules, kept = _lines(_read(root, MODULES_FILE)), _keys(_read(root, SYSCTL_FILE))
        live = {key: " ".join(_read(root, proc_path(key)).split()) for key in self.keys}
        return [
            *(f"module {name} is not loaded" for name in self.modules if name not in loaded),
            *(f"module {name} is not kept" for name in self.modules if name not in kept_modules),
            *(f"{key} is {live[key]}" for key, value in self.keys.items() if live[key] != value),
            *(f"{key} is kept as {kept.get(key)}" for key, value in self.keys.items() if kept.get(key) != value),
        ]

    def wrong_nodes(self, fleet: Fleet) -> int:
        """Return the number of nodes of a fleet that are not in this state."""
        return sum(bool(self.wrong(fleet.root(host))) for host in fleet.hosts)


def _read(root: Path, path: str) -> str:
    try:
        return (root / path[1:]).read_text(encoding="utf-8")
    except OSError:
        return ""
