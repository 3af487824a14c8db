"""The work that everybody does: the profile `kubernetes` as `fab show` resolves it, and the check from outside.

Nodes of a fleet are alike, so one node's files are everybody's: plain ones, in the place where nodeprep keeps them. A
peer gets them as they are, as lists, or as one POSIX shell script, whichever is its own best way.
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
    """Where a node has a key."""
    return "/proc/sys/" + key.replace(".", "/")


def _lines(text: str) -> list[str]:
    """The lines of a file that say something."""
    return [line for raw in text.splitlines() if (line := raw.strip()) and line[0] not in "#;"]


def _keys(text: str) -> dict[str, str]:
    """Key and value of a sysctl.conf's lines, blanks within a value made single."""
    pairs = (line.partition("=") for line in _lines(text))
    return {key.strip(): " ".join(value.split()) for key, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Work:
    """What a node has to be: the text of its two files, and with it the modules and keys."""

    modules_text: str
    sysctl_text: str

    @classmethod
    def shown(cls, document: str) -> Work:
        """From what `fab -H … show --format json` prints. Raises KeyError where a file is missing."""
        files: Mapping[str, str] = next(iter(json.loads(document)["files"].values()))
        return cls(files[MODULES_FILE], files[SYSCTL_FILE])

    @property
    def modules(self) -> list[str]:
        """The modules to load."""
        return _lines(self.modules_text)

    @property
    def keys(self) -> dict[str, str]:
        """The value of each key."""
        return _keys(self.sysctl_text)

    @property
    def items(self) -> int:
        """How many things there are to report on."""
        return 2 + len(self.modules) + len(self.keys)

    def document(self) -> str:
        """The same for programs, as JSON."""
        files = {"modules_file": MODULES_FILE, "sysctl_file": SYSCTL_FILE}
        return json.dumps({**files, "modules": self.modules, "sysctl": self.keys})

    def script(self) -> str:
        """The same as one POSIX shell script: a line `ok|changed|failed KIND NAME` an item, exit 1 if any failed."""
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
        """The files of a node of a fleet that is in this state already, by path."""
        return {
            MODULES_FILE: self.modules_text,
            SYSCTL_FILE: self.sysctl_text,
            "/proc/modules": "".join(f"{name} 16384 0 - Live 0x0000000000000000\n" for name in self.modules),
            **{f"/sys/module/{name}/.here": "" for name in self.modules},
            **{proc_path(key): f"{value}\n" for key, value in self.keys.items()},
        }

    def wrong(self, root: Path) -> list[str]:
        """What keeps a node from this state, by the files of its own layer; empty when nothing does."""
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
        """How many nodes of a fleet are not in this state."""
        return sum(bool(self.wrong(fleet.root(host))) for host in fleet.hosts)


def _read(root: Path, path: str) -> str:
    try:
        return (root / path[1:]).read_text(encoding="utf-8")
    except OSError:
        return ""
