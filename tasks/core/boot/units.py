"""Changes that an admin makes to the units of systemd that load modules and set keys: own units, and drop-ins.

Lines that only order a unit, describe it or limit its time leave its work as it is. With any other line the next boot
is not known. Sources: systemd.unit(5), systemd.service(5), and the units that systemd 247 to 257 ship.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.boot.files import FOLDERS
from tasks.core.boot.inits import MODULES_LOAD_UNIT, SYSCTL_UNIT
from tasks.core.facts import Facts, Line, UnitState

HARMLESS = {"After", "Before", "Description", "Documentation", "OnFailure", "TimeoutSec", "TimeoutStartSec", "Wants"}
SHIPPED = {
    "Type=oneshot",
    "RemainAfterExit=yes",
    "DefaultDependencies=no",
    "Conflicts=shutdown.target",
    "ConditionPathIsReadWrite=/proc/sys/",
    "ConditionPathIsReadWrite=/proc/sys/net/",
    "ConditionCapability=CAP_SYS_MODULE",
    "LoadCredential=sysctl.extra",
    "ImportCredential=sysctl.*",
    *(f"ConditionDirectoryNotEmpty=|{folder}/modules-load.d" for folder in ("/lib", *FOLDERS)),
    *(f"ConditionKernelCommandLine=|{rd}modules{dash}load" for rd in ("", "rd.") for dash in "-_"),
}
OWN_FOLDERS = ("/etc/systemd/system/", "/usr/local/lib/systemd/system/")


def find_unit_changes(facts: Facts) -> Iterator[Line]:
    """Yield the first line of each own file that changes the work of a unit; a file that cannot be read as line 0."""
    paths = [path for path, state in facts.units.items() if path.startswith(OWN_FOLDERS) and state in _OWN]
    for path in sorted(set(paths)):
        files = [path] if facts.units[path] is UnitState.PRESENT else _dropins(path, facts)
        for file in files:
            if file in facts.present:
                yield Line(file, 0, "")
            elif line := _changing_line(file, facts):
                yield line


_OWN = (UnitState.PRESENT, UnitState.ALTERED)


def _dropins(folder: str, facts: Facts) -> list[str]:
    seen = {*facts.present, *facts.values}
    return sorted(path for path in seen if path.startswith(f"{folder}/") and path.endswith(".conf"))


def _changing_line(path: str, facts: Facts) -> Line | None:
    lines = [Line(path, number, text) for number, text in facts.numbered.get(path, ())]
    return next((line for line in lines if not _is_harmless(line)), None)


def _is_harmless(line: Line) -> bool:
    text = line.text.strip()
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        return text.startswith("[") and text.endswith("]")
    return name in HARMLESS or f"{name}={value}" in SHIPPED or (name == "ExecStart" and _is_shipped(value, line.path))


def _is_shipped(program: str, path: str) -> bool:
    """Check that an own unit starts the program that systemd ships for the unit of its name."""
    unit = next((unit for unit in (MODULES_LOAD_UNIT, SYSCTL_UNIT) if path.endswith(f"/{unit}")), "")
    return program in [f"{folder}/systemd/{unit.removesuffix('.service')}" for folder in ("/lib", "/usr/lib")]
