"""Judge items by the next boot: an item that is right now and will not last becomes boot-drift, with file and line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from functools import partial
from itertools import takewhile

from tasks.core.boot.files import COMMAND_LINE, MODPROBE, Obstacle, ObstacleKind
from tasks.core.boot.simulation import NextBoot
from tasks.core.boot.sysctl import Assignment
from tasks.core.errors import RemoteError
from tasks.core.facts import NOWHERE, Facts, FileFact, Line
from tasks.core.kernel import providing_module, satisfies
from tasks.core.memo import memoized
from tasks.core.ownfiles import FIX_PROFILE, SYSCTL_PATH, RenderedFile, profile_of_file
from tasks.core.plan.desired import Desired, Setting
from tasks.core.result import Item, ItemStatus

MAX_SIMULATIONS = 20  # of one boot, to find the lines in the way
SAFE_PATH = re.compile(r"[A-Za-z0-9_./@:+-]+\Z")  # a file of another name is never changed
FIX_FILE = SYSCTL_PATH.format(FIX_PROFILE)
REMOVE = "remove that line"


def planned_files(
    files: Collection[RenderedFile], facts: Facts, removed: Collection[str] = ()
) -> Mapping[str, FileFact]:
    """Return the node's configuration by path, with our files written and the removed ones gone."""
    ours = {file.path: FileFact(file.path, "-", 0o644, 0, 0, None, tuple(enumerate(file.lines, 1))) for file in files}
    kept = {path: file for path, file in facts.files.items() if path not in removed}
    return {**kept, **ours}


def after_boot_module(item: Item, boot: NextBoot) -> Item:
    """Return a module's item as it will be after the next boot."""
    if obstacle := boot.module_obstacle(item.name):
        return _as_boot_drift(item, "not loaded at boot", obstacle)
    return item._replace(decided_by=str(boot.module_line(item.name) or ""))


def after_boot_key(item: Item, setting: Setting, boot: NextBoot) -> Item:
    """Return a key's item as it will be after the next boot. Its module has to be loaded before the keys are set."""
    if obstacle := _owner_obstacle(item.name, boot) or boot.setter_obstacle():
        return _as_boot_drift(item, "not set at boot", obstacle)
    found = boot.key(item.name)
    if found is None:
        return _as_boot_drift(item, "not set at boot", Obstacle("no file of sysctl.d sets it", NOWHERE))
    return _deciding_line(item, setting, found)


@memoized(maxsize=1024)  # nodes have most of their items and lines in common
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
    """Return the lines of other files that keep this node from its desired state after the next boot, and no others.

    The boot is simulated again without the lines that are in the way, until none is left: twice, unless lines about
    several names of one key alternate. Raises RemoteError where that goes on for too long.
    """
    found: dict[Line, None] = {}
    for _ in range(MAX_SIMULATIONS):
        new = [line for line in _deciding_lines(desired, boot) if line not in found]
        if not new:
            return tuple(sorted(found, key=lambda line: (line.path, line.number)))
        found |= dict.fromkeys(new)
        boot = boot.without_lines(found)
    raise RemoteError(
        f"the lines in the way of {len(desired.settings)} keys alternate: {len(found)} were found, and there are more",
        f"look at {next(iter(found))} on the node, and remove such lines by hand",
    )


def _deciding_lines(desired: Desired, boot: NextBoot) -> list[Line]:
    """Return the lines that decide against each module and key in turn, up to one that must not be commented out."""
    obstacles = [
        *map(boot.module_obstacle, desired.modules),
        *(_owner_obstacle(setting.key, boot) for setting in desired.settings),
    ]
    lines: list[Line] = []
    for obstacle in obstacles:
        if obstacle and f"/{MODPROBE}/" in obstacle.line.path:
            lines += takewhile(_may_be_commented_out, (obstacle.line, *obstacle.following))
    for setting in desired.settings:
        wrong = takewhile(partial(_is_wrong, setting), boot.key_history(setting.key))
        lines += takewhile(_may_be_commented_out, (found.line for found in wrong))
    return lines


def _is_wrong(setting: Setting, found: Assignment) -> bool:
    return not _satisfies(found, setting)


def _may_be_commented_out(line: Line) -> bool:
    """Return whether a line is a whole line of a file that is not ours. A continued line is left alone."""
    return bool(line.number and SAFE_PATH.match(line.path) and not profile_of_file(line.path) and not line.more)


def _overridden(item: Item, setting: Setting, found: Assignment) -> Item:
    """Return the item of a key that another line sets last: of a file that is not ours, or of an earlier fix."""
    step = _step(Obstacle("", found.line)) if found.line.path == COMMAND_LINE else _removal_step(found.line)
    if found.line.path == FIX_FILE:
        step = f"fab -H NODE fix {setting.key}={shlex.quote(setting.value)} takes that line back"
    elif profile_of_file(found.line.path):
        step = "apply that profile again; if it is no longer chosen, remove its files"
    if found.value is None:
        return _as_boot_drift(item, "not set at boot", Obstacle("this line leaves it out", found.line), step)
    return _as_boot_drift(item, f"{found.value} at boot", Obstacle("this line has the last word", found.line), step)


def _as_boot_drift(item: Item, got: str, obstacle: Obstacle, step: str = "") -> Item:
    """Return the item as boot-drift. One that is wrong already keeps its status; its reason is extended."""
    if item.status in (ItemStatus.OK, ItemStatus.SKIPPED):  # skipped: not judged, for only root reads the key
        status, step = ItemStatus.BOOT_DRIFT, step or _step(obstacle)
        return item._replace(status=status, got=got, why=str(obstacle), next_step=step, decided_by=str(obstacle.line))
    return item._replace(why=f"{item.why}{'; ' if item.why else ''}{got}: {obstacle}") if item.got else item


def _step(obstacle: Obstacle) -> str:
    if obstacle.line.path == COMMAND_LINE:
        return "take it off the kernel's command line, in the boot loader's configuration"
    if obstacle.kind is ObstacleKind.UNIT_MASKED:
        return _unmask_step(obstacle.line.path)
    if obstacle.kind is ObstacleKind.UNIT_MISSING:
        return f"install {shlex.quote(obstacle.line.path)}"
    if f"/{MODPROBE}/" in obstacle.line.path:
        return _removal_step(obstacle.line)
    return REMOVE if obstacle.line.number else ""


def _removal_step(line: Line) -> str:
    """Return the step that removes a line of another file."""
    if not _may_be_commented_out(line):
        return REMOVE
    return f"{REMOVE}, or let apply --comment-out-conflicts comment it out{package_update_hint(line)}"


def package_update_hint(line: Line) -> str:
    """Return a hint for the change of a line in a folder where packages put their files, else an empty text."""
    return "; a package update may bring it back" if line.path.startswith(("/usr/lib/", "/lib/")) else ""


def _unmask_step(path: str) -> str:
    """Return the step that unmasks the unit masked at a path. systemctl takes a mask away in /etc only."""
    unit = path.rpartition("/")[2]
    return f"systemctl unmask {shlex.quote(unit)}" if path.startswith("/etc/") else f"remove {shlex.quote(path)}"
