"""What is right now, held against the next boot: an item that will not last becomes boot-drift, with file and line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from tasks.core.boot.files import COMMAND_LINE, MODPROBE, Obstacle
from tasks.core.boot.inits import LOADER, SETTER
from tasks.core.boot.simulation import NextBoot
from tasks.core.boot.sysctl import Assignment
from tasks.core.facts import NOWHERE, Facts, FileFact, Line
from tasks.core.kernel import providing_module, satisfies
from tasks.core.memo import unless
from tasks.core.ownfiles import FIX_PROFILE, SYSCTL_PATH, RenderedFile, profile_of_file
from tasks.core.plan.desired import Desired, Setting
from tasks.core.result import Item, ItemStatus

PLAIN = re.compile(r"[A-Za-z0-9_./@:+-]+\Z")  # of a file with another name no line is touched
REPAIRED = SYSCTL_PATH.format(FIX_PROFILE)
REMOVE = "remove that line"


def planned_files(
    files: Collection[RenderedFile], facts: Facts, removed: Collection[str] = ()
) -> Mapping[str, FileFact]:
    """The node's configuration once our files are written, and stale ones removed."""
    ours = {file.path: FileFact(file.path, "-", 0o644, 0, 0, None, tuple(enumerate(file.lines, 1))) for file in files}
    kept = {path: file for path, file in facts.files.items() if path not in removed}
    return {**kept, **ours}


def after_boot_module(item: Item, boot: NextBoot) -> Item:
    """A module's item, seen after the next boot."""
    if obstacle := boot.module_obstacle(item.name):
        return _as_boot_drift(item, "not loaded at boot", obstacle)
    return unless(boot.large, _decided)(item, boot.module_line(item.name))


@lru_cache(maxsize=1024)  # nodes have most of their items and lines in common
def _decided(item: Item, line: Line | None) -> Item:
    return item._replace(decided_by=str(line or ""))


def after_boot_key(item: Item, setting: Setting, boot: NextBoot) -> Item:
    """A key's item, seen after the next boot: its module has to be there before the keys are set."""
    if obstacle := _owner_obstacle(item.name, boot) or boot.setter_obstacle():
        return _as_boot_drift(item, "not set at boot", obstacle)
    found = boot.key(item.name)
    if found is None:
        return _as_boot_drift(item, "not set at boot", Obstacle("no file of sysctl.d sets it", NOWHERE))
    return unless(boot.large, _deciding_line)(item, setting, found)


@lru_cache(maxsize=1024)
def _deciding_line(item: Item, setting: Setting, found: Assignment) -> Item:
    if _satisfies(found, setting):
        return item._replace(decided_by=str(found.line))
    return _overridden(item, setting, found)


def _satisfies(found: Assignment, setting: Setting) -> bool:
    return found.value is not None and satisfies(setting.key, found.value, setting.value, setting.minimum)


def _owner_obstacle(key: str, boot: NextBoot) -> Obstacle | None:
    owner = providing_module(key)
    return boot.module_obstacle(owner) if owner and boot.has_module(owner) else None


def conflicting_lines(desired: Desired, boot: NextBoot) -> tuple[Line, ...]:
    """The lines of other files that keep this node from being right after the next boot, and nothing else.

    Found by taking the line in the way out of the simulation, again and again, until none is left.
    """
    found: list[Line] = []
    while new := [line for line in dict.fromkeys(_in_the_way(desired, boot)) if line not in found]:
        found += new
        boot = boot.without_lines(found)
    return tuple(sorted(found, key=lambda line: (line.path, line.number)))


def _in_the_way(desired: Desired, boot: NextBoot) -> list[Line]:
    """For each module and key that will not be right, the one line that is to blame, if it is one to comment out."""
    obstacles = [
        *map(boot.module_obstacle, desired.modules),
        *(_owner_obstacle(setting.key, boot) for setting in desired.settings),
    ]
    held = [obstacle.line for obstacle in obstacles if obstacle and f"/{MODPROBE}/" in obstacle.line.path]
    keys = [(setting, boot.key(setting.key)) for setting in desired.settings]
    wrong = [found.line for setting, found in keys if found and not _satisfies(found, setting)]
    return [line for line in (*held, *wrong) if _to_comment_out(line)]


def _to_comment_out(line: Line) -> bool:
    """Whole lines of other people's files; those that go on in the next line are left to people."""
    return bool(line.number and PLAIN.match(line.path) and not profile_of_file(line.path) and not line.more)


def _overridden(item: Item, setting: Setting, found: Assignment) -> Item:
    """Another line has the last word: someone else's, or that of an earlier repair."""
    step = _step(Obstacle("", found.line)) if found.line.path == COMMAND_LINE else _without(found.line)
    if found.line.path == REPAIRED:
        step = f"fab -H NODE fix {setting.key}='{setting.value}' takes that line back"
    elif profile_of_file(found.line.path):
        step = "apply that profile again; if it is no longer chosen, remove its files"
    if found.value is None:
        return _as_boot_drift(item, "not set at boot", Obstacle("this line leaves it out", found.line), step)
    return _as_boot_drift(item, f"{found.value} at boot", Obstacle("this line has the last word", found.line), step)


def _as_boot_drift(item: Item, got: str, obstacle: Obstacle, step: str = "") -> Item:
    """What is wrong already stays what it is, and says that putting it right will not last."""
    if item.status is ItemStatus.OK:
        status, step = ItemStatus.BOOT_DRIFT, step or _step(obstacle)
        return item._replace(status=status, got=got, why=str(obstacle), next_step=step, decided_by=str(obstacle.line))
    return item._replace(why=f"{item.why}{'; ' if item.why else ''}{got}: {obstacle}") if item.got else item


def _step(obstacle: Obstacle) -> str:
    if obstacle.line.path == COMMAND_LINE:
        return "take it off the kernel's command line, in the boot loader's configuration"
    unit = next((unit for unit in (LOADER, SETTER) if unit in obstacle.why), "")
    if unit:
        return _unmasking(unit, obstacle.line.path) if "masked" in obstacle.why else f"install {unit}"
    if f"/{MODPROBE}/" in obstacle.line.path:
        return _without(obstacle.line)
    return REMOVE if obstacle.line.number else ""


def _without(line: Line) -> str:
    """How to be rid of a line that is in the way."""
    if not _to_comment_out(line):
        return REMOVE
    return f"{REMOVE}, or let apply --comment-out-conflicts comment it out{package_update_hint(line)}"


def package_update_hint(line: Line) -> str:
    """What to say besides of a change to a line: empty but for a file that a package brings."""
    return "; a package update may bring it back" if line.path.startswith(("/usr/lib/", "/lib/")) else ""


def _unmasking(unit: str, path: str) -> str:
    """systemctl takes a mask away in /etc only."""
    return f"systemctl unmask {unit}" if path.startswith("/etc/") else f"remove {path}"
