"""Compare a desired state with facts: the items with their status, and the changes that an apply would make."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from typing import NamedTuple

from tasks.core.boot.simulation import NextBoot
from tasks.core.facts import Facts, Line, ModuleState
from tasks.core.kernel import at_least, is_final, providing_module, satisfies
from tasks.core.memo import memoized
from tasks.core.ownfiles import RenderedFile, profile_of_file
from tasks.core.plan.desired import Desired, Setting, module_bringing
from tasks.core.plan.modules import missing_module, wanted_module
from tasks.core.plan.persistence import after_boot_key, after_boot_module
from tasks.core.plan.writers import LikelyWriters
from tasks.core.result import Item, ItemStatus, Kind

ONLY_A_REBOOT = "only a reboot takes it back, rollback cannot"
NOT_READABLE = "not readable"  # shown for a value that only root may read


class Undo(NamedTuple):
    """The changes that are to be taken back.

    files: (path, copy), the copy empty where there was none. lines: lines that were commented out. keys: (key, value).
    folders: removed if they are empty.
    """

    files: tuple[tuple[str, str], ...] = ()
    lines: tuple[Line, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    modules: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


class Plan(NamedTuple):
    """The changes that an apply would make on one node, in order, and every item with its present status.

    files: to be written. modules: to be loaded. sysctl_files: given to `sysctl -p`. keys: (key, value) pairs that have
    to change, set one by one where there is no sysctl file. comment_out: lines of other files. needs_root: something
    is readable for root only, so nobody else can tell whether it has to change.
    """

    items: tuple[Item, ...]
    files: tuple[RenderedFile, ...] = ()
    modules: tuple[str, ...] = ()
    sysctl_files: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    comment_out: tuple[Line, ...] = ()
    undo: Undo = Undo()
    needs_root: bool = False


def diff(desired: Desired, facts: Facts, boot: NextBoot | None = None) -> Plan:
    """Return one node's plan. boot: the next boot to judge by, of the files as they are or as they will be."""
    files = [_file_item(file, facts) for file in desired.files]
    modules = [wanted_module(name, facts) for name in desired.modules]
    writers = LikelyWriters(facts)
    keys = [_key_item(setting, facts, desired.modules, writers) for setting in desired.settings]
    missing = [missing_module(name, facts) for name in desired.missing_modules]
    skipped = [
        *(_skipped(Kind.MODULE, name, facts) for name in desired.skipped_modules),
        *(_skipped(Kind.SYSCTL, name, facts) for name in desired.skipped_keys),
    ]
    changing = tuple(
        (setting.key, setting.value)
        for setting, item in zip(desired.settings, keys, strict=True)
        if item.status is ItemStatus.DRIFT
    )
    if boot and boot.simulated:
        modules = [after_boot_module(item, boot) for item in modules]
        keys = [after_boot_key(key, wanted, boot) for key, wanted in zip(keys, desired.settings, strict=True)]
    unread = [_unreadable(path, facts) for path in facts.unreadable if not profile_of_file(path)] if boot else []
    unread += map(_changed_unit, boot.unit_changes()) if boot else []
    return Plan(
        items=(*modules, *missing, *keys, *files, *unread, *skipped),
        files=tuple(f for f, item in zip(desired.files, files, strict=True) if item.status is ItemStatus.DRIFT),
        modules=tuple(n for n, item in zip(desired.modules, modules, strict=True) if item.status is ItemStatus.DRIFT),
        sysctl_files=_sysctl_files(desired, facts) if changing else (),
        keys=changing,
        needs_root=bool(unread) or any(_only_root_reads(key, facts) for key, _ in changing),
    )


def _only_root_reads(key: str, facts: Facts) -> bool:
    return facts.key(key) is None and facts.has_key(key)


def _unreadable(path: str, facts: Facts) -> Item:
    """Return the item of a file that may not be read: it may undo our changes at the next boot."""
    why = f"its mode is {facts.files[path].mode:04o}: its effect at the next boot is not known"
    step = f"chmod a+rX {shlex.quote(path)}, or log in as root: fab -H root@NODE verify"
    return Item(Kind.FILE, path, ItemStatus.BOOT_DRIFT, "readable", NOT_READABLE, why, step)


def _changed_unit(line: Line) -> Item:
    """Report an admin's change to the units that load modules and set keys: it may undo our work at the next boot."""
    got = f"{line}: {line.text.strip()}" if line.number else NOT_READABLE
    why = "what the changed unit does at the next boot is not known"
    step = "remove it, or move what it adds to another unit; lines that only order the unit may stay (After=, Before=)"
    return Item(
        Kind.FILE, line.path, ItemStatus.BOOT_DRIFT, "only systemd's own lines, and their order", got, why, step
    )


def _sysctl_files(desired: Desired, facts: Facts) -> tuple[str, ...]:
    """Return the files for `sysctl -p`: none if that would lower a key that is now above the number in our file."""
    floors = [(s.key, s.value, facts.key(s.key)) for s in desired.settings if s.minimum is not None]
    if any(
        got is not None and not at_least(key, value, got) and at_least(key, got, value) for key, value, got in floors
    ):
        return ()
    return tuple(file.path for file in desired.files if "/sysctl.d/" in file.path)


def _file_item(file: RenderedFile, facts: Facts) -> Item:
    got = file_problem(file, facts)
    status = ItemStatus.DRIFT if got else ItemStatus.OK
    return Item(Kind.FILE, file.path, status, "as rendered, root's, mode 0644", got or "as rendered")


def file_problem(file: RenderedFile, facts: Facts) -> str:
    """Return the difference between the node's file and the rendered one, an empty text if there is none."""
    found = facts.files.get(file.path)
    if found is None:
        return "absent"
    if found.kind != "-":
        return f"a link to {found.link}" if found.kind == "l" else "not a regular file"
    if found.mode != 0o644 or found.uid != 0:
        return f"mode {found.mode:04o}, owned by uid {found.uid}"
    if (lines := facts.lines(file.path)) != file.effective:
        return f"{_differing(lines, file.effective)} lines differ"
    return ""


def _differing(one: Sequence[str], other: Sequence[str]) -> int:
    return max(len(set(one) - set(other)), len(set(other) - set(one)), 1)


def _key_item(setting: Setting, facts: Facts, modules: Collection[str], writers: LikelyWriters) -> Item:
    got = facts.key(setting.key)
    if got is not None and (satisfied := _satisfied_key(setting, got)):
        return satisfied
    wanted = _wanted(setting)
    if got is None and not facts.has_key(setting.key):
        if owner := module_bringing(setting.key, facts, modules):
            return Item(Kind.SYSCTL, setting.key, ItemStatus.DRIFT, wanted, None, f"comes with {owner}")
        return _missing_key(setting.key, wanted, facts)
    if got is None:
        return _unreadable_key(setting, wanted, facts)
    if is_final(setting.key, got, setting.value):
        why, step = f"the kernel keeps {got} until the next reboot", "reboot the node once its file is in place"
        return Item(Kind.SYSCTL, setting.key, ItemStatus.DRIFT, wanted, got, why, step)
    why = writers.explain(setting.key, got)
    if is_final(setting.key, setting.value, got):
        why = f"{why}; {ONLY_A_REBOOT}" if why else ONLY_A_REBOOT
    return Item(Kind.SYSCTL, setting.key, ItemStatus.DRIFT, wanted, got, why)


def _unreadable_key(setting: Setting, wanted: str, facts: Facts) -> Item:
    """Leave a key that is hidden from our user unjudged; a key that root cannot read either counts as different."""
    if facts.uid == 0:
        why = "it cannot be read, so it counts as different"
        return Item(Kind.SYSCTL, setting.key, ItemStatus.DRIFT, wanted, NOT_READABLE, why)
    why, step = "not judged: only root reads it", "with sudo: fab -H NODE verify --sudo"
    return Item(Kind.SYSCTL, setting.key, ItemStatus.SKIPPED, wanted, NOT_READABLE, why, step)


@memoized(maxsize=1024)  # most keys have the same values on most nodes
def _satisfied_key(setting: Setting, got: str) -> Item | None:
    right = satisfies(setting.key, got, setting.value, setting.minimum)
    return Item(Kind.SYSCTL, setting.key, ItemStatus.OK, _wanted(setting), got) if right else None


def _wanted(setting: Setting) -> str:
    return setting.value if setting.minimum is None else f">= {setting.minimum}"


def _missing_key(key: str, wanted: str, facts: Facts) -> Item:
    owner = providing_module(key)
    why = f"kernel {facts.kernel} has no such key"
    step = "check its spelling; else drop it from the profile, or mark it `-key = value` (only where the kernel has it)"
    if owner and facts.module(owner) is ModuleState.LOADABLE:
        why = f"the key comes with the module {owner}, which is not loaded"
        step = f"fab -H NODE fix {owner}; or add it to the profile's modules, and do not leave them out with --only"
    elif owner:
        why = f"the key comes with the module {owner}, which is {facts.module(owner)}"
    return Item(Kind.SYSCTL, key, ItemStatus.MISSING, wanted, None, why, step)


def _skipped(kind: Kind, name: str, facts: Facts) -> Item:
    return Item(kind, name, ItemStatus.SKIPPED, "optional", None, f"kernel {facts.kernel} does not have it")
