"""The init systems: the programs that load modules and set keys at boot, and the rules by which they read their files.

Sources: systemd 247, 252 and 257 (src/modules-load, src/sysctl, conf-files.c; the rules are the same in all three);
Debian's /etc/init.d/kmod and procps; OpenRC's init.d/modules.in and sysctl.in; Alpine's aports, main/openrc,
modules.initd and sysctl.initd. docs/decisions/0003 has the boots of nodes without systemd that these rules were held
against. Nothing is claimed about any other init system.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import NamedTuple

from tasks.core.boot.files import BY_NAME, FOLDERS, ReadOrder
from tasks.core.facts import Facts, UnitState

MODULES_LOAD_UNIT, SYSCTL_UNIT = "systemd-modules-load.service", "systemd-sysctl.service"


class Dialect(Enum):
    """The way in which a program reads sysctl.d.

    SYSTEMD: the last line of each key counts, and the key is set once. PROCPS (procps 4): each line is written in turn,
    a pattern only to keys that no line names. BUSYBOX: each line is written in turn, without patterns and without a
    dash in front.
    """

    SYSTEMD = "systemd"
    PROCPS = "procps"
    BUSYBOX = "busybox"


class ModuleLoader(NamedTuple):
    """A program that loads modules at boot.

    extra_files: single files that are read last. blacklist: it heeds a blacklist for the modules that its files name.
    parameters: the words after a line's first are parameters, not part of the name. arguments: it also loads the
    modules of `modules_load=` on the kernel's command line.
    """

    name: str
    reading: ReadOrder = BY_NAME
    extra_files: tuple[str, ...] = ()
    blacklist: bool = True
    parameters: bool = False
    arguments: bool = False


class SysctlSetter(NamedTuple):
    """A program that sets keys at boot.

    extra_files: single files that are read last. one_run_per_file: each file is a run of its own, and the names in one
    mean nothing to the next.
    """

    name: str
    dialect: Dialect
    reading: ReadOrder = BY_NAME
    extra_files: tuple[str, ...] = ()
    one_run_per_file: bool = False


class Init(NamedTuple):
    """The init system of one node.

    loader, setter: None where nothing is started that loads modules or sets keys. verified: these rules are held
    against real boots in tests/lab, and not only read in the scripts. units: loader and setter are systemd's units,
    which can be masked and altered.
    """

    name: str
    loader: ModuleLoader | None
    setter: SysctlSetter | None
    verified: bool = True
    units: bool = False


class InitSystem(NamedTuple):
    """A row of the table of init systems: how it is recognized, and which of its scripts load modules and set keys.

    markers: paths that all exist while it runs. without: paths that do not. inittab: the beginning of a line of
    /etc/inittab. distribution: ID of os-release(5). busybox: True where sysctl has to be busybox's, False where it must
    not be, None where both will do. started: the links that name the started scripts, as a pattern with one group;
    tasks/node/scripts/probe.sh lists them. A loader or setter counts where its script is started; the name "" stands
    for one that always is. needs_script: one of its scripts has to be started.
    """

    name: str
    loaders: Mapping[str, ModuleLoader]
    setters: Mapping[str, SysctlSetter]
    markers: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    inittab: str = ""
    distribution: str = ""
    busybox: bool | None = None
    started: str = ""
    needs_script: bool = False
    verified: bool = False
    units: bool = False


SYSTEMD_PATH, OPENRC_PATH = "/run/systemd/system", "/run/openrc"
RUNLEVELS = "/etc/runlevels/(?:sysinit|boot|default)/([a-z-]+)"
RCS = r"/etc/rcS\.d/S[0-9]+([a-z-]+)"
SYSCTL_CONF, MODULES_FILE = ("/etc/sysctl.conf",), ("/etc/modules",)
ALPINE = ReadOrder(("/etc", "/usr/lib", "/lib"), masking=("/etc",), by_folder=True, null_masks=False)

_KMOD = {
    "kmod": ModuleLoader(
        "/etc/init.d/kmod", ReadOrder(null_masks=False), MODULES_FILE, blacklist=False, parameters=True
    )
}
_PROCPS = {"procps": SysctlSetter("/etc/init.d/procps", Dialect.PROCPS, extra_files=SYSCTL_CONF)}
_ALPINE_MODULES = {
    "modules": ModuleLoader(
        "/etc/init.d/modules", ALPINE._replace(masking=()), MODULES_FILE, blacklist=False, parameters=True
    )
}
_OPENRC_LOADER = ModuleLoader("/etc/init.d/modules", ReadOrder(("/etc", "/usr/lib")), parameters=True)


def _alpine_sysctl(dialect: Dialect) -> Mapping[str, SysctlSetter]:
    return {"sysctl": SysctlSetter("/etc/init.d/sysctl", dialect, ALPINE, SYSCTL_CONF, one_run_per_file=True)}


# The first row that fits a node is its init system. OpenRC's own scripts differ from version to version where sysctl is
# busybox's: no row has them.
INIT_SYSTEMS = (
    InitSystem(
        "systemd",
        {"": ModuleLoader(MODULES_LOAD_UNIT, arguments=True)},
        {"": SysctlSetter(SYSCTL_UNIT, Dialect.SYSTEMD)},
        markers=(SYSTEMD_PATH,),
        verified=True,
        units=True,
    ),
    InitSystem(
        "OpenRC with Debian's scripts",
        _KMOD,
        _PROCPS,
        markers=(OPENRC_PATH,),
        started=RUNLEVELS,
        needs_script=True,
        verified=True,
    ),
    InitSystem(
        "Alpine's OpenRC",
        _ALPINE_MODULES,
        _alpine_sysctl(Dialect.BUSYBOX),
        markers=(OPENRC_PATH,),
        distribution="alpine",
        busybox=True,
        started=RUNLEVELS,
    ),
    InitSystem(
        "Alpine's OpenRC",
        _ALPINE_MODULES,
        _alpine_sysctl(Dialect.PROCPS),
        markers=(OPENRC_PATH,),
        distribution="alpine",
        started=RUNLEVELS,
    ),
    InitSystem(
        "OpenRC",
        {"modules": _OPENRC_LOADER, "modules-load": _OPENRC_LOADER},
        {"sysctl": SysctlSetter("/etc/init.d/sysctl", Dialect.PROCPS, extra_files=SYSCTL_CONF)},
        markers=(OPENRC_PATH,),
        busybox=False,
        started=RUNLEVELS,
    ),
    InitSystem(  # its inittab gives each line a name; busybox's, which is alike, has none or a terminal
        "sysvinit",
        _KMOD,
        _PROCPS,
        without=(OPENRC_PATH,),
        inittab="si::sysinit:/etc/init.d/rcS",
        started=RCS,
    ),
)

MARKERS = tuple(dict.fromkeys(path for row in INIT_SYSTEMS for path in (*row.markers, *row.without)))


def init_of(facts: Facts) -> Init | None:
    """Return the init system of a node, None if no row of the table fits."""
    for row in INIT_SYSTEMS:
        scripts = _started_scripts(row, facts)
        if _fits(row, scripts, facts):
            loader = next((each for name, each in row.loaders.items() if name in scripts), None)
            setter = next((each for name, each in row.setters.items() if name in scripts), None)
            return Init(row.name, loader, setter, row.verified, row.units)
    return None


def _started_scripts(row: InitSystem, facts: Facts) -> set[str]:
    links = (re.fullmatch(row.started, path) for path in facts.files) if row.started else ()
    return {"", *(match[1] for match in links if match)}


def _fits(row: InitSystem, scripts: Collection[str], facts: Facts) -> bool:
    return (
        facts.present.issuperset(row.markers)
        and facts.present.isdisjoint(row.without)
        and (not row.inittab or any(line.startswith(row.inittab) for line in facts.lines("/etc/inittab")))
        and row.distribution in ("", facts.os_release.get("ID"))
        and row.busybox in (None, is_busybox(facts, "sysctl"))
        and not (row.needs_script and {*row.loaders, *row.setters}.isdisjoint(scripts))
    )


def is_busybox(facts: Facts, program: str) -> bool:
    """Return whether a program is busybox's, on a node without systemd."""
    paths = (f"/sbin/{program}", f"/usr/sbin/{program}")
    links = [facts.files[path].link or "" for path in paths if path in facts.files]
    return any(link.endswith("busybox") for link in links)


def unit_state(facts: Facts, unit: str) -> tuple[str, UnitState] | None:
    """Return the path and the state of a unit in the first folder that has it, None where no folder does."""
    paths = [f"{folder}/systemd/system/{unit}" for folder in FOLDERS]
    return next(((path, facts.units[path]) for path in paths if path in facts.units), None)
