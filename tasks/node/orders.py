"""The lines that a node's script is given: what to look at, what to change. Data only, never shell text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tasks.core.boot.inits import MARKERS, MODULES_LOAD_UNIT, SYSCTL_UNIT
from tasks.core.facts import CONTAINERS, Facts, key_file
from tasks.core.kernel import keys_changed_with, normalize_module
from tasks.core.ownfiles import RenderedFile
from tasks.core.plan.diff import Plan, Undo
from tasks.core.plan.writers import EVIDENCE_PATHS
from tasks.core.protocol.instructions import want_modules
from tasks.core.protocol.lock import STORE, ChangeId


def probe(keys: Iterable[str], modules: Iterable[str], more: Sequence[str] = ()) -> list[str]:
    """What to look at: these keys and modules, and what is looked at on every node, and more instructions."""
    units = [f"unit {MODULES_LOAD_UNIT}", f"unit {SYSCTL_UNIT}"]
    paths = dict.fromkeys([*COMMON_PATHS, *EVIDENCE_PATHS, *map(key_file, keys)])
    return [*(f"look {path}" for path in paths), *units, *want_modules(modules), *more, "scan"]


def readback_probe(probe: Iterable[str], plan: Plan, facts: Facts) -> list[str]:
    """A probe as it looks again after a plan's recorded orders. Of modules it asks only which are loaded, as it was
    seen after loading; for all where some were unloaded, and where not root looked first, who may see more."""
    whole = plan.undo.modules or facts.uid != 0
    return ["rescan" if line == "scan" and not whole else line for line in probe]


def apply_instructions(plan: Plan) -> list[str]:
    """What to change, in the order that works: modules before the keys they bring, files before what reads them."""
    return [*_files(plan), *_loads(plan), *_keys(plan), *_leftovers(plan.undo)]


def _files(plan: Plan) -> list[str]:
    lines = [f"disable {line.path} {line.number} {line.text}" for line in plan.comment_out]
    back = [f"restore {path} {copy}" if copy else f"remove {path}" for path, copy in plan.undo.files]
    enabled = [f"enable {line.path} {line.number} {line.text}" for line in plan.undo.lines]
    placed = ["placed"] if plan.files else []
    return [*(line for file in plan.files for line in _file(file)), *placed, *lines, *back, *enabled]


def _file(file: RenderedFile) -> list[str]:
    return [f"file {file.path}", *(f"|{line}" for line in file.lines), f"keep {file.path}"]


def _loads(plan: Plan) -> list[str]:
    together = [f"loads {' '.join(plan.modules)}"] if len(plan.modules) > 1 else []
    return [*together, *(f"load {name}" for name in plan.modules)]


def _keys(plan: Plan) -> list[str]:
    return [
        *(f"set {key_file(key)} {value}" for key, value in plan.undo.keys),  # sysctl -p would make it look done
        *(f"sysctl {path}" for path in plan.sysctl_files),
        *(f"set {key_file(key)} {value}" for key, value in plan.keys),
    ]


def _leftovers(undo: Undo) -> list[str]:
    """What goes last: keys of a module are put right as long as it is there, a folder may have become empty."""
    return [
        *([f"unload {' '.join(undo.modules)}"] if undo.modules else []),
        *(f"rmdir {path}" for path in undo.folders),
    ]


def apply_with_snapshot(plan: Plan, facts: Facts, stamp: ChangeId, about: Sequence[str] = ()) -> list[str]:
    """A plan's orders, and before the first that writes the snapshot of what they change.

    It is completed before the keys are set, by those that came with a module, and by modules that came with others.
    about: lines that say what is applied.
    """
    keys = [key for key, _ in plan.keys]
    late = [f"value {key_file(key)}" for key in keys if not facts.has_key(key)]
    snapshot = f"snapshot {STORE} {stamp.run}"
    return [
        *(f"note {line}" for line in (f"run {stamp.run}", f"verb {stamp.verb}", f"by {stamp.who}", *about)),
        *(f"save {path}" for path in (*(file.path for file in plan.files), *(path for path, _ in plan.undo.files))),
        *(f"line {line.path} {line.number} {line.text}" for line in plan.comment_out),
        *(f"module {name}" for name in _with_needs(plan.modules, facts)),
        *(f"note unloads {name}" for name in plan.undo.modules),
        *(f"value {key_file(key)}" for key in _with_coupled([*keys, *(key for key, _ in plan.undo.keys)])),
        snapshot,
        *_files(plan),
        *_loads(plan),
        *([*late, snapshot] if plan.modules else []),
        *_keys(plan),
        *_leftovers(plan.undo),
    ]


def _with_needs(modules: Iterable[str], facts: Facts) -> list[str]:
    """Modules as /proc/modules spells them, each after all that is loaded with it."""
    names = list(map(normalize_module, modules))
    return list(dict.fromkeys(each for name in names for each in (*sorted(facts.dependencies.get(name, ())), name)))


def _with_coupled(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(each for key in keys for each in (key, *keys_changed_with(key))))


# Looked at on every node, besides the keys that are wanted.
COMMON_PATHS = (
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/modules_disabled",
    "/proc/sys/kernel/osrelease",
    "/proc/cmdline",
    "/proc/sys/net/ipv6",
    *CONTAINERS,
    "/run/systemd/container",
    *MARKERS,
    "/sys/devices/system/cpu/online",
    "/sys/kernel/security/lockdown",
)
