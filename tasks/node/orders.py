"""From a plan to the instructions for a node: probes and changes. Data only, never shell text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tasks.core.boot.inits import MARKERS, MODULES_LOAD_UNIT, SYSCTL_UNIT
from tasks.core.facts import CONTAINERS, Facts
from tasks.core.kernel import keys_changed_with, normalize_module
from tasks.core.ownfiles import RenderedFile
from tasks.core.plan.diff import Plan, Undo
from tasks.core.plan.writers import EVIDENCE_PATHS
from tasks.core.protocol import instructions as protocol
from tasks.core.protocol.lock import ChangeId
from tasks.core.undo.snapshot import FORMAT


def probe(keys: Iterable[str], modules: Iterable[str], more: Sequence[str] = ()) -> list[str]:
    """Return a probe of keys, modules, and the paths that every node is asked for. more: further instructions."""
    looks = dict.fromkeys([*map(protocol.look, (*COMMON_PATHS, *EVIDENCE_PATHS)), *map(protocol.look_at_key, keys)])
    units = map(protocol.find_unit, (MODULES_LOAD_UNIT, SYSCTL_UNIT))
    return [*looks, *units, *protocol.want_modules(modules), *more, protocol.SCAN]


def readback_probe(probe: Iterable[str], plan: Plan, facts: Facts) -> list[str]:
    """Return the probe to send after an apply.

    It asks only which modules are loaded, read right after loading; everything is asked again if modules were unloaded,
    or if the first probe was not root's, since root may see more.
    """
    whole = plan.undo.modules or facts.uid != 0
    return [protocol.RESCAN if line == protocol.SCAN and not whole else line for line in probe]


def apply_instructions(plan: Plan) -> list[str]:
    """Return the changes of a plan in the order that works: modules before their keys, files before their readers."""
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
    """Return the changes that go last: the keys of a module are restored before it goes, files before their folder."""
    return [
        *([protocol.unload_modules(undo.modules)] if undo.modules else []),
        *map(protocol.remove_folder, undo.folders),
    ]


def apply_with_snapshot(plan: Plan, facts: Facts, change: ChangeId, about: Sequence[str] = ()) -> list[str]:
    """Return the changes of a plan, and before the first write a snapshot of what they change.

    It is extended before the keys are set, by keys and modules that came with a module. about: further lines for it,
    such as `profile NAME DIGEST`.
    """
    keys = [key for key, _ in plan.keys]
    late = [protocol.save_key(key) for key in keys if not facts.has_key(key)]
    snapshot = protocol.take_snapshot(change)
    head = (f"format {FORMAT}", f"run {change.run}", f"verb {change.verb}", f"by {change.who}")
    return [
        *map(protocol.note, (*head, *about)),
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
    """Return modules as /proc/modules spells them, each after its dependencies."""
    names = list(map(normalize_module, modules))
    return list(dict.fromkeys(each for name in names for each in (*sorted(facts.dependencies.get(name, ())), name)))


def _with_coupled(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(each for key in keys for each in (key, *keys_changed_with(key))))


# Paths that every node is asked for, besides the keys of its profiles.
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
