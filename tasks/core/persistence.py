"""What is right now, held against the next boot: an item that will not last becomes boot-drift, with file and line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from tasks.core.boot import LOADER, NOWHERE, SETTER, Assignment, Boot, Line, Obstacle
from tasks.core.desired import REPAIRS, SYSCTL_PATH, Desired, RenderedFile, Setting
from tasks.core.facts import Facts, FileFact
from tasks.core.keys import owner_of, satisfied
from tasks.core.model import Item, ItemStatus

OURS = SYSCTL_PATH.format("")[: -len(".conf")]
PLAIN = re.compile(r"[A-Za-z0-9_./@:+-]+\Z")  # of a file with another name no line is touched
REPAIRED = SYSCTL_PATH.format(REPAIRS)
TAKE_OVER = "remove that line, or let apply --take-over comment it out"


def planned(files: Collection[RenderedFile], facts: Facts) -> Mapping[str, FileFact]:
    """The node's configuration once our files are written."""
    ours = {file.path: FileFact(file.path, "-", 0o644, 0, 0, None, tuple(enumerate(file.lines, 1))) for file in files}
    return {**facts.files, **ours}


def lasting_module(item: Item, boot: Boot) -> Item:
    """A module's item, seen after the next boot."""
    obstacle = boot.module_obstacle(item.name)
    return _fading(item, "not loaded at boot", obstacle) if obstacle else item


def lasting_key(item: Item, setting: Setting, boot: Boot) -> Item:
    """A key's item, seen after the next boot: its module has to be there before the keys are set."""
    if obstacle := _owner_obstacle(item.name, boot) or boot.setter_obstacle():
        return _fading(item, "not set at boot", obstacle)
    found = boot.key(item.name)
    if found is None:
        return _fading(item, "not set at boot", Obstacle("no file of sysctl.d sets it", NOWHERE))
    if satisfied(setting.key, found.value, setting.value, setting.floor):
        return item
    return _overridden(item, setting, found)


def _owner_obstacle(key: str, boot: Boot) -> Obstacle | None:
    owner = owner_of(key)
    return boot.module_obstacle(owner) if owner and boot.has_module(owner) else None


def rivals(desired: Desired, boot: Boot) -> tuple[Line, ...]:
    """The lines of other files that keep this node from being right after the next boot, and nothing else.

    Those that set a key to another value after our own line, and those of modprobe.d that hold a module back.
    """
    modules = [obstacle.line for name in desired.modules if (obstacle := boot.module_obstacle(name))]
    held = [line for line in modules if line.number and "/modprobe.d/" in line.path]
    keys = [line for setting in desired.settings for line in _later_lines(setting, boot)]
    return tuple(line for line in dict.fromkeys([*held, *keys]) if PLAIN.match(line.path))


def _later_lines(setting: Setting, boot: Boot) -> list[Line]:
    lines = boot.lines_for(setting.key)
    ours = max((n for n, each in enumerate(lines) if each.line.path.startswith(OURS)), default=-1)
    later = [each for each in lines[ours + 1 :] if not satisfied(setting.key, each.value, setting.value, setting.floor)]
    return [each.line for each in later]


def _overridden(item: Item, setting: Setting, found: Assignment) -> Item:
    """Another line has the last word: someone else's, or that of an earlier repair."""
    step = TAKE_OVER
    if found.line.path == REPAIRED:
        step = f"fab -H NODE fix {setting.key}='{setting.value}' takes that line back"
    elif found.line.path.startswith(OURS):
        step = "apply that profile again; if it is no longer chosen, remove its files"
    obstacle = Obstacle("this line has the last word", found.line)
    return _fading(item, f"{found.value} at boot", obstacle, step)


def _fading(item: Item, got: str, obstacle: Obstacle, step: str = "") -> Item:
    """What is wrong already stays what it is, and says that putting it right will not last."""
    if item.status is ItemStatus.OK:
        status, step = ItemStatus.BOOT_DRIFT, step or _step(obstacle)
        return replace(item, status=status, got=got, why=str(obstacle), next_step=step)
    return replace(item, why=f"{item.why}{'; ' if item.why else ''}{got}: {obstacle}") if item.got else item


def _step(obstacle: Obstacle) -> str:
    unit = next((unit for unit in (LOADER, SETTER) if unit in obstacle.why), "")
    if unit:
        return f"systemctl unmask {unit}" if "masked" in obstacle.why else f"install {unit}"
    if "/modprobe.d/" in obstacle.line.path:
        return TAKE_OVER
    return "remove that line" if obstacle.line.number else ""
