"""What starts a node, and by which rules it loads and sets: systemd, OpenRC, sysvinit, or nothing that is known."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tasks.core.boot.inits import INIT_SYSTEMS, MODULES_LOAD_UNIT, SYSCTL_UNIT, InitSystem, init_of, unit_state
from tasks.core.facts import Facts, UnitState
from tasks.node import orders as instructions
from tests.support.boots import ALPINE, DEBIAN, LISTED, boot, facts
from tests.support.shells import Machine, no_namespaces

BUSYBOX = {"/sbin/sysctl": "/bin/busybox"}


INITS: dict[str, tuple[dict[str, object], str]] = {
    "systemd": ({}, "systemd"),
    "Debian's OpenRC": ({"runs": "openrc", "links": DEBIAN}, "OpenRC with Debian's scripts"),
    "Alpine": ({"runs": "openrc", "links": ALPINE, "files": {"/etc/os-release": "ID=alpine"}}, "Alpine's OpenRC"),
    "Gentoo": ({"runs": "openrc", "links": ALPINE, "files": {"/etc/os-release": "ID=gentoo"}}, "OpenRC"),
    "Alpine beside leftovers of sysvinit": (
        {
            "runs": "openrc",
            "links": {**ALPINE, "/etc/rcS.d/S05kmod": "../init.d/kmod"},
            "files": {"/etc/os-release": "ID=alpine"},
        },
        "Alpine's OpenRC",
    ),
    "OpenRC with busybox's sysctl": ({"runs": "openrc", "links": ALPINE | BUSYBOX}, ""),
    "sysvinit": (
        {
            "runs": "initctl",
            "links": {"/etc/rcS.d/S05kmod": "../init.d/kmod", "/etc/rcS.d/S08procps": "../init.d/procps"},
            "files": {"/etc/inittab": "si::sysinit:/etc/init.d/rcS"},
        },
        "sysvinit",
    ),
    "busybox's init beside leftovers of sysvinit": (
        {
            "runs": "utmp",
            "links": {"/etc/rcS.d/S05kmod": "../init.d/kmod"},
            "files": {"/etc/inittab": "::sysinit:/etc/init.d/rcS"},
        },
        "",
    ),
    "nothing that is known": ({"runs": "runit"}, ""),
}


@pytest.mark.parametrize(("case", "name"), INITS.values(), ids=INITS)
def test_which_init_a_node_has(case: dict[str, object], name: str) -> None:
    known = init_of(facts(**{"files": {}, **case}))  # type: ignore[arg-type]
    assert (known.name if known else "") == name


def test_an_init_script_that_is_not_started_does_nothing() -> None:
    one = {path: link for path, link in DEBIAN.items() if path.endswith("kmod")}
    found = boot(LISTED, runs="openrc", links=one)
    assert found.module_obstacle("foo") is None
    assert str(found.setter_obstacle()) == "OpenRC with Debian's scripts: no init script that sets keys is started"


@pytest.mark.parametrize("row", INIT_SYSTEMS, ids=lambda row: row.name)
def test_the_probe_lists_what_a_row_of_the_table_is_recognized_by(row: InitSystem) -> None:
    """A new init system is one row; if its links lie in another folder, the probe has to list it as well."""
    assert set(row.markers) | set(row.without) <= set(instructions.COMMON_PATHS)
    probe = (Path(instructions.__file__).parent / "scripts/probe.sh").read_text(encoding="utf-8")
    patterns = re.findall(r"/etc/(?:rc\S*|runlevels\S*)", probe)
    for name in filter(None, {*row.loaders, *row.setters}):
        links = [f"/etc/rcS.d/S05{name}", f"/etc/runlevels/boot/{name}"]
        read = [link for link in links if re.fullmatch(row.started, link)]
        assert any(fnmatchcase(link, pattern) for link in read for pattern in patterns), name
    assert not row.inittab or "/etc/inittab" in probe


# What the probe tells of it, on a small node


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "node")


real = pytest.mark.skipif(no_namespaces(), reason="user namespaces are not allowed here")


def seen(machine: Machine) -> Facts:
    with machine.open() as channel:
        return channel.begin(instructions.probe([], []))


@real
def test_the_probe_finds_units_their_masks_and_what_alters_them(machine: Machine) -> None:
    machine.write(f"etc/systemd/system/{SYSCTL_UNIT}", "")
    machine.write(f"etc/systemd/system/{MODULES_LOAD_UNIT}.d/more.conf", "[Service]")
    found = seen(machine)
    assert {path: state for path, state in found.units.items() if path.startswith("/etc/")} == {
        f"/etc/systemd/system/{SYSCTL_UNIT}": UnitState.MASKED,
        f"/etc/systemd/system/{MODULES_LOAD_UNIT}.d": UnitState.ALTERED,
    }
    assert [state for _, state in filter(None, [unit_state(found, MODULES_LOAD_UNIT)])] == [UnitState.PRESENT]


@real
@pytest.mark.parametrize("target", ["/dev/null", "/nowhere"])
def test_a_unit_that_is_a_link_to_nothing_is_masked(machine: Machine, target: str) -> None:
    folder = machine.root / "etc/systemd/system"
    folder.mkdir(parents=True)
    (folder / SYSCTL_UNIT).symlink_to(target)
    assert seen(machine).units[f"/etc/systemd/system/{SYSCTL_UNIT}"] is UnitState.MASKED


@real
def test_the_probe_finds_the_init_scripts_where_there_is_no_systemd(machine: Machine) -> None:
    (machine.root / "run/systemd/system").rmdir()
    (machine.root / "run/openrc").mkdir()
    for path in DEBIAN:
        machine.write(path[1:], "")
    machine.write("etc/modules", "# c\nfoo\n")
    known = init_of(seen(machine))
    assert known is not None
    assert known.name == "OpenRC with Debian's scripts"


@real
def test_the_probe_names_the_kernels_that_have_modules_where_the_running_one_has_none(machine: Machine) -> None:
    (machine.root / "lib/modules/6.1.0").rename(machine.root / "lib/modules/6.1.1")
    found = seen(machine)
    assert (found.has_module_index, found.other_kernels) == (False, ("6.1.1",))
