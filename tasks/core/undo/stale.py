"""Entries of our own files on a node that no profile names any more: keys, modules, and whole profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tasks.core.facts import Facts, ModuleState
from tasks.core.kernel import MODULE, is_key, normalize_module
from tasks.core.ownfiles import FIX_PROFILE, HASH_PREFIX, MODULES_PATH, SYSCTL_PATH, assignments, profile_of_file
from tasks.core.plan.desired import Desired
from tasks.core.plan.diff import Plan, Undo
from tasks.core.result import Item, ItemStatus, Kind
from tasks.core.undo.rollback import NOT_LOADED, key_item, mark_taken_back, needs_restore
from tasks.core.undo.snapshot import PriorState

AS_BEFORE = "as before nodeprep"


@dataclass(frozen=True, slots=True)
class Stale:
    """Files of profiles that are not chosen any more; keys and modules that no profile names, each with its file."""

    files: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.files or self.keys or self.modules)


def find_stale(desired: Desired, facts: Facts, only: str = "") -> Stale:
    """Find what our files hold beyond the desired state. Only files with our header count; repairs are never stale."""
    parts = {"sysctl": [SYSCTL_PATH], "modules": [MODULES_PATH]}.get(only, [MODULES_PATH, SYSCTL_PATH])
    ours = [path for path in facts.files if (name := profile_of_file(path, parts)) and name != FIX_PROFILE]
    ours = [path for path in ours if any(line.startswith(HASH_PREFIX) for line in facts.lines(path))]
    wanted = {file.path for file in desired.files}
    return Stale(
        files=tuple(path for path in ours if path not in wanted),
        keys=_keys(ours, desired, facts),
        modules=_modules(ours, desired, facts),
    )


def _keys(paths: Iterable[str], desired: Desired, facts: Facts) -> dict[str, str]:
    repaired = assignments(facts.lines(SYSCTL_PATH.format(FIX_PROFILE)))
    kept = {*(setting.key for setting in desired.settings), *desired.skipped_keys, *repaired}
    found = {key: path for path in paths if "/sysctl.d/" in path for key in assignments(facts.lines(path))}
    return {key: path for key, path in found.items() if key not in kept and is_key(key)}


def _modules(paths: Iterable[str], desired: Desired, facts: Facts) -> dict[str, str]:
    repaired = _named(MODULES_PATH.format(FIX_PROFILE), facts)
    wanted = (*desired.modules, *desired.missing_modules, *desired.skipped_modules)
    kept = {*map(normalize_module, wanted), *repaired}
    found = {name: path for path in paths if "/modules-load.d/" in path for name in _named(path, facts)}
    return {name: path for name, path in found.items() if name not in kept and MODULE.match(name)}


def _named(path: str, facts: Facts) -> list[str]:
    """Return the modules that a file names, as /proc/modules spells them."""
    return [normalize_module(line.strip()) for line in facts.lines(path) if not line.startswith("#")]


def stale_items(stale: Stale, *, to_do: bool) -> tuple[Item, ...]:
    """Return stale entries as items. to_do: drift that apply takes back (plan), otherwise advisory (verify)."""
    status = ItemStatus.DRIFT if to_do else ItemStatus.ADVISORY
    step = "fab -H NODE apply takes it back"
    modules, keys = stale.modules.items(), stale.keys.items()
    items = (
        *(Item(Kind.MODULE, name, status, AS_BEFORE, f"in {path}", _LEFT, step) for name, path in modules),
        *(Item(Kind.SYSCTL, key, status, AS_BEFORE, f"in {path}", _LEFT, step) for key, path in keys),
        *(Item(Kind.FILE, path, status, "absent", "there", _UNCHOSEN, step) for path in stale.files),
    )
    return mark_taken_back(items)


_LEFT = "no profile of this node wants it any more"
_UNCHOSEN = "no profile of this node has it any more"


def with_removals(plan: Plan, stale: Stale, past: PriorState, facts: Facts) -> Plan:
    """Return a plan that also takes back stale entries. past: the state before the oldest snapshot."""
    keys = [_key(key, _is_recorded(path, past), past, facts) for key, path in stale.keys.items()]
    modules = [_module(name, _is_recorded(path, past), past, facts) for name, path in stale.modules.items()]
    files = [_file(path, facts) for path in stale.files]
    undo = Undo(
        files=tuple((item.name, "") for item in files if item.status is ItemStatus.DRIFT),
        keys=tuple((item.name, past.keys[item.name]) for item in keys if needs_restore(item, past)),
        modules=tuple(item.name for item in modules if item.status is ItemStatus.DRIFT),
    )
    return plan._replace(items=(*plan.items, *mark_taken_back((*modules, *keys, *files))), undo=undo)


def _file(path: str, facts: Facts) -> Item:
    there = path in facts.files
    status = ItemStatus.DRIFT if there else ItemStatus.OK
    return Item(Kind.FILE, path, status, "absent", "there" if there else None, _UNCHOSEN if there else "")


def _is_recorded(path: str, past: PriorState) -> bool:
    """Return whether the snapshots go back to the time before a file of ours: they hold all that it ever changed."""
    return past.files.get(path) == ""


def _key(key: str, recorded: bool, past: PriorState, facts: Facts) -> Item:
    if key in past.keys:
        return key_item(key, past.keys[key], past, facts)
    if recorded:  # it had the value already when it was first applied
        return Item(Kind.SYSCTL, key, ItemStatus.OK, AS_BEFORE, facts.key(key))
    why = f"{_LEFT}, and what it was before is not known: left as it is"
    return Item(Kind.SYSCTL, key, ItemStatus.ADVISORY, AS_BEFORE, facts.key(key), why)


def _module(name: str, recorded: bool, past: PriorState, facts: Facts) -> Item:
    """Check a stale module. One that stays because it is in use is not a failure: the next boot does not load it."""
    if facts.module(name) is not ModuleState.LOADED:
        return Item(Kind.MODULE, name, ItemStatus.OK, NOT_LOADED, NOT_LOADED)
    refused = facts.complaints.get(("unload", name), "")
    if name in past.modules and not refused:
        return Item(Kind.MODULE, name, ItemStatus.DRIFT, NOT_LOADED, "loaded", _LEFT)
    if recorded and name not in past.modules:
        return Item(Kind.MODULE, name, ItemStatus.OK, AS_BEFORE, "loaded")
    reason = refused or "what it was before is not known"
    why = f"{_LEFT}; it stays until the next reboot: {reason}"
    return Item(Kind.MODULE, name, ItemStatus.ADVISORY, AS_BEFORE, "loaded", why)
