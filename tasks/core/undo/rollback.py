"""Rollback of one node: from its snapshots and its facts to a plan of the same form as apply's."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from tasks.core.errors import RemoteError
from tasks.core.facts import Facts, Line, ModuleState
from tasks.core.kernel import is_final, same_value
from tasks.core.plan.desired import SET_FIRST
from tasks.core.plan.diff import Plan, Undo
from tasks.core.protocol.instructions import compare_file, confirmed_line, find_disabled_line, look
from tasks.core.protocol.lock import run_time
from tasks.core.result import Change, Item, ItemStatus, Kind, SnapshotSummary
from tasks.core.undo.snapshot import PriorState, Snapshot

AS_IT_WAS = "as it was"
NOT_LOADED = "not loaded"


def select_snapshots(found: Sequence[Snapshot], to: str) -> tuple[Snapshot, ...]:
    """Return the snapshots to take back: the newest, or all from run `to` on.

    Empty if nothing has changed since that run. Raises RemoteError if the node has no snapshot of it.
    """
    if not to:
        return tuple(found[-1:])
    runs = [snapshot.change.run for snapshot in found]
    if to in runs:
        return tuple(found[runs.index(to) :])
    if found and runs[0] < to <= found[0].until:
        problem = f"it has no snapshot of run {to} alone: those from {runs[0]} to {found[0].until} were merged into one"
        raise RemoteError(problem, f"fab -H NODE rollback --to-run {shlex.quote(runs[0])} takes all of them back")
    if all(run < to for run in runs):  # that run changed nothing here, and no later one did
        return ()
    raise RemoteError(f"it has no snapshot of run {to}; it has {', '.join(runs)}", "fab -H NODE rollback --list")


def probe_instructions(past: PriorState) -> list[str]:
    """Return what a probe has to ask besides keys and modules: files, folders and lines."""
    return [
        *(compare_file(path, copy) for path, copy in past.files.items() if copy),
        *(look(path) for path, copy in past.files.items() if not copy),
        *map(look, past.folders),
        *map(find_disabled_line, past.lines),
    ]


def make_plan(past: PriorState, facts: Facts) -> Plan:
    """Plan to make everything on a node as it was."""
    files = [_file(path, copy, facts) for path, copy in past.files.items()]
    lines = [_line(line, facts) for line in past.lines]
    keys = [key_item(key, value, past, facts) for key, value in _in_order(past)]
    modules = [_module(name, facts) for name in past.modules]
    unloaded = [_unloaded(name, facts) for name in past.unloaded]
    return Plan(
        items=mark_taken_back((*modules, *unloaded, *keys, *files, *lines)),
        modules=tuple(item.name for item in unloaded if item.status is ItemStatus.DRIFT),
        undo=Undo(
            keys=tuple((item.name, past.keys[item.name]) for item in keys if needs_restore(item, past)),
            files=tuple((item.name, past.files[item.name]) for item in files if item.status is ItemStatus.DRIFT),
            lines=tuple(line for line, item in zip(past.lines, lines, strict=True) if item.status is ItemStatus.DRIFT),
            modules=tuple(item.name for item in modules if item.status is ItemStatus.DRIFT),
            folders=tuple(path for path in past.folders if path in facts.present),
        ),
    )


def mark_taken_back(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return the items with the mark that their change takes something back."""
    return tuple(item._replace(change=Change.TAKE_BACK) for item in items)


def _in_order(past: PriorState) -> list[tuple[str, str]]:
    """Order the keys: ip_forward first, for writing it resets others, which are restored after it."""
    return sorted(past.keys.items(), key=lambda pair: pair[0] != SET_FIRST)


def needs_restore(item: Item, past: PriorState) -> bool:
    """Check whether a key has to be written. One that came with a module counts, too: the module may have to stay."""
    return item.status is ItemStatus.DRIFT and not same_value(item.name, item.got or "", past.keys[item.name])


def _file(path: str, copy: str, facts: Facts) -> Item:
    if copy:
        right = compare_file(path, copy) in facts.confirmed
        got = AS_IT_WAS if right else "changed"
        return Item(Kind.FILE, path, _status(right), AS_IT_WAS, got)
    absent = path in facts.values and facts.values[path] is None
    return Item(Kind.FILE, path, _status(absent), "absent", None if absent else "there")


def _line(line: Line, facts: Facts) -> Item:
    if find_disabled_line(line) in facts.confirmed:
        return Item(Kind.FILE, str(line), ItemStatus.DRIFT, line.text.strip(), "commented out")
    if confirmed_line(line) in facts.confirmed:
        return Item(Kind.FILE, str(line), ItemStatus.OK, line.text.strip(), AS_IT_WAS)
    why = "someone has changed that line since: left alone"
    return Item(Kind.FILE, str(line), ItemStatus.SKIPPED, line.text.strip(), None, why)


def key_item(key: str, value: str, past: PriorState, facts: Facts) -> Item:
    """Compare a key with its value before the change."""
    got, wanted = facts.key(key), " ".join(value.split())
    if got is not None and is_final(key, got, value):
        why = f"stays until the next reboot: the kernel does not go back from {got}"
        return Item(Kind.SYSCTL, key, ItemStatus.ADVISORY, wanted, got, why, "reboot the node")
    if got is not None:
        return Item(Kind.SYSCTL, key, _status(same_value(key, got, value)), wanted, got)
    if key in past.created_keys:
        return Item(Kind.SYSCTL, key, ItemStatus.OK, "absent", None)
    return Item(Kind.SYSCTL, key, ItemStatus.SKIPPED, wanted, None, "this kernel does not have it any more")


def _module(name: str, facts: Facts) -> Item:
    if facts.module(name) is not ModuleState.LOADED:
        return Item(Kind.MODULE, name, ItemStatus.OK, NOT_LOADED, NOT_LOADED)
    step = "stop what uses it and run this again; or reboot, for no file of ours loads it any more"
    return Item(Kind.MODULE, name, ItemStatus.DRIFT, NOT_LOADED, "loaded", "", step)


def _unloaded(name: str, facts: Facts) -> Item:
    """Check a module that we unloaded because no profile named it any more."""
    if facts.module(name) is ModuleState.LOADABLE:
        return Item(Kind.MODULE, name, ItemStatus.DRIFT, "loaded", NOT_LOADED, "", f"modprobe {name}")
    return Item(Kind.MODULE, name, ItemStatus.OK, "loaded", str(facts.module(name)))


def _status(right: bool) -> ItemStatus:
    return ItemStatus.OK if right else ItemStatus.DRIFT


def summarize_snapshot(snapshot: Snapshot) -> SnapshotSummary:
    """Return the line of a list for a snapshot: its run, command and user, and the number of things of each kind."""
    past, stamp = snapshot.prior_state, snapshot.change
    counts = {"file": past.files, "line": past.lines, "key": past.keys, "module": past.modules}
    parts = [f"{len(found)} {kind}{'s' if len(found) != 1 else ''}" for kind, found in counts.items() if found]
    login = f" ({snapshot.login})" if snapshot.login else ""
    return SnapshotSummary(stamp.run, f"{stamp.verb} by {stamp.who}{login}", ", ".join(parts))


def format_snapshot(found: SnapshotSummary) -> str:
    """Format a snapshot as one line of a list."""
    return f"{found.run}  {run_time(found.run)}  {found.what}: {found.of}"
