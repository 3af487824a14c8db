"""What starts a node, and by which rules it loads and sets: systemd, OpenRC, sysvinit, or nothing that is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.boot.inits import LOADER, SETTER, init_of, unit_state
from tasks.core.boot.simulation import NextBoot
from tasks.core.facts import Facts, UnitState
from tasks.node import orders as instructions
from tests.support.boots import ALPINE, DEBIAN, LISTED, boot, facts
from tests.support.shells import Machine, no_namespaces

ETC, LIB = "/etc/sysctl.d", "/usr/lib/sysctl.d"
BUSYBOX = {"/sbin/sysctl": "/bin/busybox"}
OTHER_INITS: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "procps reads sysctl.conf, and last": (
        DEBIAN,
        {"/etc/sysctl.conf": "x.y=1", f"{ETC}/zz.conf": "x.y=2"},
        "1 /etc/sysctl.conf:1",
    ),
    "procps goes by names as systemd does": (
        DEBIAN,
        {f"{LIB}/zz.conf": "x.y=1", f"{ETC}/a.conf": "x.y=2"},
        f"1 {LIB}/zz.conf:1",
    ),
    "for procps a name beats a pattern in any file": (
        DEBIAN,
        {f"{ETC}/a.conf": "x.y=1", "/etc/sysctl.conf": "x.*=2"},
        f"1 {ETC}/a.conf:1",
    ),
    "procps takes a blank after the dash for a part of the name": (
        DEBIAN,
        {f"{ETC}/a.conf": "x.y=1\n- x.y=2"},
        f"1 {ETC}/a.conf:1",
    ),
    "procps lets a pattern go over a name with a slash in front": (
        DEBIAN,
        {f"{ETC}/a.conf": "/x/y=1\nx.*=2"},
        f"2 {ETC}/a.conf:2",
    ),
    "for procps leaving a key out means patterns only": (
        DEBIAN,
        {f"{ETC}/a.conf": "x.y=1\nx.*=3\n-x.y"},
        f"1 {ETC}/a.conf:1",
    ),
    "Alpine reads folder by folder": (
        ALPINE | BUSYBOX,
        {f"{LIB}/zz.conf": "x.y=1", f"{ETC}/a.conf": "x.y=2"},
        f"2 {ETC}/a.conf:1",
    ),
    "Alpine's sysctl.conf comes last": (
        ALPINE | BUSYBOX,
        {"/etc/sysctl.conf": "x.y=1", f"{ETC}/zz.conf": "x.y=2"},
        "1 /etc/sysctl.conf:1",
    ),
    "in Alpine only /etc masks": (
        ALPINE | BUSYBOX,
        {"/usr/lib/sysctl.d/a.conf": "x.y=1", "/lib/sysctl.d/a.conf": "x.y=2\nx.z=1"},
        "1 /usr/lib/sysctl.d/a.conf:1",
    ),
    "in Alpine an empty file masks": (
        ALPINE | BUSYBOX,
        {"/usr/lib/sysctl.d/a.conf": "x.y=1", "/etc/sysctl.d/a.conf": "", "/lib/sysctl.d/b.conf": "x.y=2"},
        "2 /lib/sysctl.d/b.conf:1",
    ),
    "busybox knows no patterns and no dash": (
        ALPINE | BUSYBOX,
        {f"{ETC}/a.conf": "x.y=1\nx.*=2\n-x.y=3"},
        f"1 {ETC}/a.conf:1",
    ),
    "for busybox a slash in front leads elsewhere": (
        ALPINE | BUSYBOX,
        {f"{ETC}/a.conf": "x/y=1\n/x/y=2"},
        f"1 {ETC}/a.conf:1",
    ),
    "busybox ends a value at a comment": (ALPINE | BUSYBOX, {f"{ETC}/a.conf": "x.y=1 # note"}, f"1 {ETC}/a.conf:1"),
    "Alpine with procps: each file is a run of its own": (
        ALPINE,
        {f"{ETC}/a.conf": "x.y=1", f"{ETC}/b.conf": "x.*=2"},
        f"2 {ETC}/b.conf:1",
    ),
}


@pytest.mark.parametrize(("links", "files", "wins"), OTHER_INITS.values(), ids=OTHER_INITS)
def test_other_inits_read_by_other_rules(links: dict[str, str], files: dict[str, str], wins: str) -> None:
    release = "alpine" if ALPINE.items() <= links.items() else "debian"
    found = boot({**files, "/etc/os-release": f"ID={release}"}, runs="openrc", links=links).key("x.y")
    assert found is not None
    assert f"{found.value} {found.line}" == wins


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


NULLS: dict[str, tuple[dict[str, str], bool, bool]] = {
    "for Debian's kmod not, for procps yes": (DEBIAN, True, False),
    "for Alpine neither": (ALPINE | BUSYBOX, True, True),
}


@pytest.mark.parametrize(("links", "loads", "sets"), NULLS.values(), ids=NULLS)
def test_whether_a_link_to_dev_null_masks(links: dict[str, str], loads: bool, sets: bool) -> None:
    files = {"/usr/lib/modules-load.d/a.conf": "foo", f"{LIB}/a.conf": "x.y=1", "/etc/os-release": "ID=debian"}
    files |= {"/etc/os-release": "ID=alpine"} if "/etc/runlevels/boot/modules" in links else {}
    nulls = {"/etc/modules-load.d/a.conf": "/dev/null", f"{ETC}/a.conf": "/dev/null"}
    found = boot(files, runs="openrc", links=links | nulls)
    assert (found.module_obstacle("foo") is None, found.key("x.y") is not None) == (loads, sets)


def test_busyboxs_modprobe_knows_no_install_lines() -> None:
    files = {"/etc/modules": "foo", "/etc/modprobe.d/a.conf": "install foo /bin/true", "/etc/os-release": "ID=alpine"}
    busybox = {"/sbin/modprobe": "/bin/busybox"}
    assert boot(files, runs="openrc", links=ALPINE | busybox).module_obstacle("foo") is None
    assert boot(files, runs="openrc", links=ALPINE).module_obstacle("foo") is not None


def test_an_init_script_that_is_not_started_does_nothing() -> None:
    one = {path: link for path, link in DEBIAN.items() if path.endswith("kmod")}
    found = boot(LISTED, runs="openrc", links=one)
    assert found.module_obstacle("foo") is None
    assert str(found.setter_obstacle()) == "OpenRC with Debian's scripts: no init script that sets keys is started"


ADVICE: dict[str, tuple[dict[str, object], str]] = {
    "nothing": ({"files": {}}, ""),
    "a pasted recipe beside a file that loads the module": (
        {"files": {**LISTED, "/etc/modules-load.d/k8s.conf": "modprobe foo\n# c\nmodprobe bar"}},
        "/etc/modules-load.d/k8s.conf:1,3: `modprobe foo` is no module name and loads nothing at boot; bare names do",
    ),
    "a unit of the admin's": (
        {"files": {}, "units": {f"/etc/systemd/system/{SETTER}": UnitState.PRESENT}},
        f"/etc/systemd/system/{SETTER} changes what systemd ships: what it does at boot was not checked",
    ),
    "a folder that alters a unit": (
        {"files": {}, "units": {f"/etc/systemd/system/{LOADER}.d": UnitState.ALTERED}},
        f"/etc/systemd/system/{LOADER}.d changes what systemd ships: what it does at boot was not checked",
    ),
    "rules that no test has tried": (
        {"files": {"/etc/os-release": "ID=alpine"}, "runs": "openrc", "links": ALPINE},
        "Alpine's OpenRC: its rules for the next boot were read, not tried",
    ),
    "an unknown init": (
        {"files": {}, "runs": "runit"},
        "its init system is not known here: the next boot was not checked",
    ),
}


def test_in_a_container_what_is_loaded_stays_its_hosts_matter() -> None:
    known = facts({}, loaded=("foo",))
    inside = NextBoot(replace(known, values={**known.values, "/run/systemd/container": "lxc"}), {})
    assert (NextBoot(known, {}).module_obstacle("foo") is None, inside.module_obstacle("foo") is None) == (False, True)
    assert [note.split(":")[0] for note in inside.notes()] == ["a container"]


@pytest.mark.parametrize(("case", "note"), ADVICE.values(), ids=ADVICE)
def test_what_an_admin_hears_although_nothing_is_wrong(case: dict[str, object], note: str) -> None:
    assert boot(**case).notes() == ([note] if note else [])  # type: ignore[arg-type]


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
    machine.write(f"etc/systemd/system/{SETTER}", "")
    machine.write(f"etc/systemd/system/{LOADER}.d/more.conf", "[Service]")
    found = seen(machine)
    assert {path: state for path, state in found.units.items() if path.startswith("/etc/")} == {
        f"/etc/systemd/system/{SETTER}": UnitState.MASKED,
        f"/etc/systemd/system/{LOADER}.d": UnitState.ALTERED,
    }
    assert [state for _, state in filter(None, [unit_state(found, LOADER)])] == [UnitState.PRESENT]


@real
@pytest.mark.parametrize("target", ["/dev/null", "/nowhere"])
def test_a_unit_that_is_a_link_to_nothing_is_masked(machine: Machine, target: str) -> None:
    folder = machine.root / "etc/systemd/system"
    folder.mkdir(parents=True)
    (folder / SETTER).symlink_to(target)
    assert seen(machine).units[f"/etc/systemd/system/{SETTER}"] is UnitState.MASKED


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
