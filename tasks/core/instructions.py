"""The lines that a node's script is given: what to look at, what to change. Data only, never shell text."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.core.desired import RenderedFile
from tasks.core.facts import ALWAYS, SYSCTL_ROOT
from tasks.core.inits import LOADER, SETTER
from tasks.core.keys import key_path
from tasks.core.plan import Plan


def probe(keys: Iterable[str], modules: Iterable[str]) -> list[str]:
    """What to look at: these keys and modules, and what is looked at on every node."""
    paths = dict.fromkeys([*ALWAYS, *(SYSCTL_ROOT + key_path(key) for key in keys)])
    names = dict.fromkeys(name.replace("-", "_") for name in modules)
    wants = [f"want {name} {name.replace('_', '[-_]')}" for name in names]
    return [*(f"look {path}" for path in paths), f"unit {LOADER}", f"unit {SETTER}", *wants, "scan"]


def apply(plan: Plan) -> list[str]:
    """What to change, in the order that works: modules before the keys they bring, files before what reads them."""
    loads = [f"load {name}" for name in plan.modules]
    sysctl = [f"sysctl {path}" for path in plan.sysctl_files]
    keys = [f"set {SYSCTL_ROOT}{key_path(key)} {value}" for key, value in plan.keys]
    lines = [f"disable {line.path} {line.number} {line.text}" for line in plan.take_over]
    return [*(line for file in plan.files for line in _file(file)), *lines, *loads, *sysctl, *keys]


def _file(file: RenderedFile) -> list[str]:
    return [f"file {file.path}", *(f"|{line}" for line in file.lines), f"keep {file.path}"]
