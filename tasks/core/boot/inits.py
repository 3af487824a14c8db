"""Who loads modules and sets keys at boot, and by which rules: systemd's services, or a system's init scripts.

Sources: systemd 247, 252 and 257 (src/modules-load, src/sysctl, conf-files.c; the rules are the same in all three);
Debian's /etc/init.d/kmod and procps; OpenRC's init.d/modules.in and sysctl.in; Alpine's aports, main/openrc,
modules.initd and sysctl.initd. Of any other init nothing is claimed. What
docs/decisions/0003 saw on nodes without systemd is what is told here.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from tasks.core.boot.files import BY_NAME, FOLDERS, ReadOrder
from tasks.core.facts import Facts, UnitState

LOADER, SETTER = "systemd-modules-load.service", "systemd-sysctl.service"


class Dialect(Enum):
    """How a program reads sysctl.d. TABLE: the last line of each key counts, and is set once (systemd-sysctl). LINES:
    each line in turn, a pattern only for keys that no line names (procps 4). PLAIN: each line in turn, no patterns and
    no dash in front (busybox)."""

    SYSTEMD = "table"
    PROCPS = "lines"
    BUSYBOX = "plain"


class ModuleLoader(NamedTuple):
    """Who loads modules at boot.

    last: single files that are read too. blacklist: whether it heeds a blacklist for what it is told to load.
    parameters: whether words after a line's first are none of the module's name.
    """

    name: str
    reading: ReadOrder = BY_NAME
    extra_files: tuple[str, ...] = ()
    blacklist: bool = True
    parameters: bool = False


class SysctlSetter(NamedTuple):
    """Who sets keys at boot.

    last: single files that are read at the end. each_alone: whether each file is a run of its own, so that names of one
    mean nothing to another.
    """

    name: str
    dialect: Dialect
    reading: ReadOrder = BY_NAME
    extra_files: tuple[str, ...] = ()
    one_run_per_file: bool = False


class Init(NamedTuple):
    """What starts a node. loader, setter: None where nothing is started that would do it. tried: whether these rules
    are held against real boots in tests/lab, and not only read in the scripts."""

    name: str
    loader: ModuleLoader | None
    setter: SysctlSetter | None
    verified: bool = True


SYSTEMD = Init("systemd", ModuleLoader(LOADER), SysctlSetter(SETTER, Dialect.SYSTEMD))
SYSCTL_CONF, MODULES_FILE = ("/etc/sysctl.conf",), ("/etc/modules",)
KMOD = ModuleLoader("/etc/init.d/kmod", ReadOrder(null_masks=False), MODULES_FILE, blacklist=False, parameters=True)
PROCPS = SysctlSetter("/etc/init.d/procps", Dialect.PROCPS, extra_files=SYSCTL_CONF)
OPENRC_MODULES = ModuleLoader("/etc/init.d/modules", ReadOrder(("/etc", "/usr/lib")), parameters=True)
OPENRC_SYSCTL = SysctlSetter("/etc/init.d/sysctl", Dialect.PROCPS, extra_files=SYSCTL_CONF)
ALPINE = ReadOrder(("/etc", "/usr/lib", "/lib"), masking=("/etc",), by_folder=True, null_masks=False)

ALPINE_MODULES = ModuleLoader(
    "/etc/init.d/modules", ALPINE._replace(masking=()), MODULES_FILE, blacklist=False, parameters=True
)

RUNLEVELS = re.compile(r"/etc/runlevels/(?:sysinit|boot|default)/([a-z-]+)")
RCS = re.compile(r"/etc/rcS\.d/S[0-9]+([a-z-]+)")


def init_of(facts: Facts) -> Init | None:
    """What starts this node; None if it is nothing that is known here."""
    if "/run/systemd/system" in facts.present:
        return SYSTEMD
    openrc = "/run/openrc" in facts.present
    if not openrc and not _sysvinit(facts):
        return None
    links = RUNLEVELS if openrc else RCS
    scripts = {match[1] for path in facts.files if (match := links.fullmatch(path))}
    if not openrc or {"kmod", "procps"} & scripts:  # Debian's
        name = "OpenRC with Debian's scripts" if openrc else "sysvinit"
        return Init(name, KMOD if "kmod" in scripts else None, PROCPS if "procps" in scripts else None, verified=openrc)
    return _alpine(facts, scripts) if facts.os_release.get("ID") == "alpine" else _openrc(facts, scripts)


def _sysvinit(facts: Facts) -> bool:
    """sysvinit's inittab gives each line a name; busybox's, which looks alike, has none or a terminal."""
    return any(line.startswith("si::sysinit:/etc/init.d/rcS") for line in facts.lines("/etc/inittab"))


def _alpine(facts: Facts, scripts: set[str]) -> Init:
    dialect = Dialect.BUSYBOX if is_busybox(facts, "sysctl") else Dialect.PROCPS
    setter = SysctlSetter("/etc/init.d/sysctl", dialect, ALPINE, SYSCTL_CONF, one_run_per_file=True)
    return Init(
        "Alpine's OpenRC",
        ALPINE_MODULES if "modules" in scripts else None,
        setter if "sysctl" in scripts else None,
        verified=False,
    )


def _openrc(facts: Facts, scripts: set[str]) -> Init | None:
    """OpenRC's own scripts. With busybox's sysctl they differ from version to version: nothing is claimed."""
    if is_busybox(facts, "sysctl"):
        return None
    loads = {"modules", "modules-load"} & scripts
    setter = OPENRC_SYSCTL if "sysctl" in scripts else None
    return Init("OpenRC", OPENRC_MODULES if loads else None, setter, verified=False)


def is_busybox(facts: Facts, program: str) -> bool:
    """Whether a program is busybox's, where there is no systemd."""
    links = [
        facts.files[path].link or "" for path in (f"/sbin/{program}", f"/usr/sbin/{program}") if path in facts.files
    ]
    return any(link.endswith("busybox") for link in links)


def unit_state(facts: Facts, unit: str) -> tuple[str, UnitState] | None:
    """A unit's file in the first folder that has one, and what it is; None where no folder has it."""
    paths = [f"{folder}/systemd/system/{unit}" for folder in FOLDERS]
    return next(((path, facts.units[path]) for path in paths if path in facts.units), None)
