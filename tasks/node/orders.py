"""The lines that a node's script is given: what to look at, what to change. Data only, never shell text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tasks.core.boot.inits import LOADER, SETTER
from tasks.core.facts import CONTAINERS, Facts
from tasks.core.kernel import keys_changed_with, normalize_module
from tasks.core.ownfiles import RenderedFile
from tasks.core.plan.diff import Plan, Undo
from tasks.core.plan.writers import EVIDENCE_PATHS
from tasks.core.protocol import instructions as protocol
from tasks.core.protocol.lock import ChangeId


def probe(keys: Iterable[str], modules: Iterable[str], more: Sequence[str] = ()) -> list[str]:
    """What to look at: these keys and modules, and what is looked at on every node, and more instructions."""
    looks = dict.fromkeys([*map(protocol.look, (*COMMON_PATHS, *EVIDENCE_PATHS)), *map(protocol.look_at_key, keys)])
    units = map(protocol.find_unit, (LOADER, SETTER))
    return [*looks, *units, *protocol.want_modules(modules), *more, protocol.SCAN]


def readback_probe(probe: Iterable[str], plan: Plan, facts: Facts) -> list[str]:
    """A probe as it looks again after a plan's recorded orders. Of modules it asks only which are loaded, as it was
    seen after loading; for all where some were unloaded, and where not root looked first, who may see more."""
    whole = plan.undo.modules or facts.uid != 0
    return [protocol.RESCAN if line == protocol.SCAN and not whole else line for line in probe]


def apply_instructions(plan: Plan) -> list[str]:
    """What to change, in the order that works: modules before the keys they bring, files before what reads them."""
    return [*_files(plan), *_loads(plan), *_keys(plan), *_leftovers(plan.undo)]


def _files(plan: Plan) -> list[str]:
    return [
        *(line for file in plan.files for line in _write_file(file)),
        *([protocol.PLACE_FILES] if plan.files else []),
        *map(protocol.disable_line, plan.comment_out),
        *(protocol.restore_file(path, copy) if copy else protocol.remove_file(path) for path, copy in plan.undo.files),
        *map(protocol.enable_line, plan.undo.lines),
    ]


def _write_file(file: RenderedFile) -> list[str]:
    return [protocol.begin_file(file.path), *map(protocol.add_line, file.lines), protocol.keep_file(file.path)]


def _loads(plan: Plan) -> list[str]:
    together = [protocol.load_together(plan.modules)] if len(plan.modules) > 1 else []
    return [*together, *map(protocol.load_module, plan.modules)]


def _keys(plan: Plan) -> list[str]:
    return [
        *(protocol.set_key(key, value) for key, value in plan.undo.keys),  # sysctl -p would make it look done
        *map(protocol.load_sysctl_file, plan.sysctl_files),
        *(protocol.set_key(key, value) for key, value in plan.keys),
    ]


def _leftovers(undo: Undo) -> list[str]:
    """What goes last: keys of a module are put right as long as it is there, a folder may have become empty."""
    return [
        *([protocol.unload_modules(undo.modules)] if undo.modules else []),
        *map(protocol.remove_folder, undo.folders),
    ]


def apply_with_snapshot(plan: Plan, facts: Facts, change: ChangeId, about: Sequence[str] = ()) -> list[str]:
    """A plan's orders, and before the first that writes the snapshot of what they change.

    It is completed before the keys are set, by those that came with a module, and by modules that came with others.
    about: lines that say what is applied.
    """
    keys = [key for key, _ in plan.keys]
    late = [protocol.save_key(key) for key in keys if not facts.has_key(key)]
    snapshot = protocol.take_snapshot(change)
    return [
        *map(protocol.note, (f"run {change.run}", f"verb {change.verb}", f"by {change.who}", *about)),
        *map(protocol.save_file, (*(file.path for file in plan.files), *(path for path, _ in plan.undo.files))),
        *map(protocol.save_line, plan.comment_out),
        *map(protocol.save_module, _with_needs(plan.modules, facts)),
        *map(protocol.save_unload, plan.undo.modules),
        *map(protocol.save_key, _with_coupled([*keys, *(key for key, _ in plan.undo.keys)])),
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
    "/run/systemd/system",
    "/run/openrc",
    "/sys/devices/system/cpu/online",
    "/sys/kernel/security/lockdown",
)
