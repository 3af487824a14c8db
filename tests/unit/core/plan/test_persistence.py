"""Other files' lines that would win at the next boot: which they are, and how they are commented out."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.boot.inits import MODULES_LOAD_UNIT, SYSCTL_UNIT
from tasks.core.boot.simulation import NextBoot
from tasks.core.errors import RemoteError
from tasks.core.facts import Facts, Line, UnitState
from tasks.core.kernel import satisfies
from tasks.core.plan.desired import Desired, resolve
from tasks.core.plan.diff import Plan, diff
from tasks.core.plan.persistence import conflicting_lines, planned_files
from tasks.core.result import ItemStatus
from tasks.node import converge as node_converge
from tasks.node import orders as instructions
from tests.support.boots import DEBIAN, applied, facts
from tests.support.builders import rendered
from tests.support.shells import Shell

WANTED = [rendered("net.core.somaxconn = 1\nfs.file-max >= 100\n", "foo\n")]
CASES = {
    "a later file": ({"/etc/sysctl.d/zz.conf": "# c\nnet.core.somaxconn = 5"}, ["/etc/sysctl.d/zz.conf:2"]),
    "each of several": (
        {"/etc/sysctl.d/zz.conf": "net.core.somaxconn = 5\nnet/core/somaxconn = 6"},
        ["/etc/sysctl.d/zz.conf:1", "/etc/sysctl.d/zz.conf:2"],
    ),
    "an earlier file": ({"/etc/sysctl.d/10.conf": "net.core.somaxconn = 5"}, []),
    "the same value": ({"/etc/sysctl.d/zz.conf": "net.core.somaxconn = 0x1"}, []),
    "more than enough": ({"/etc/sysctl.d/zz.conf": "fs.file-max = 200"}, []),
    "less than enough": ({"/etc/sysctl.d/zz.conf": "fs.file-max = 50"}, ["/etc/sysctl.d/zz.conf:1"]),
    "another key": ({"/etc/sysctl.d/zz.conf": "net.core.rmem_max = 5"}, []),
    "a glob, which a name beats": ({"/etc/sysctl.d/zz.conf": "net.core.* = 5"}, []),
    "a blacklist": ({"/etc/modprobe.d/x.conf": "blacklist foo"}, ["/etc/modprobe.d/x.conf:1"]),
    "an install line": ({"/etc/modprobe.d/x.conf": "\ninstall foo /bin/true"}, ["/etc/modprobe.d/x.conf:2"]),
    "a blacklist of another module": ({"/etc/modprobe.d/x.conf": "blacklist bar"}, []),
    "a name with a blank is left alone": ({"/etc/sysctl.d/zz z.conf": "net.core.somaxconn = 5"}, []),
}


@pytest.mark.parametrize(("files", "lines"), CASES.values(), ids=CASES)
def test_the_lines_to_take_over(files: dict[str, str], lines: list[str]) -> None:
    """As if our own files were there: only what still wins over them, or holds a module back."""
    known = facts(files, values={"net.core.somaxconn": "1", "fs.file-max": "100"}, loaded=("foo",))
    wanted = resolve(WANTED, known)
    assert [
        str(line) for line in conflicting_lines(wanted, NextBoot(known, planned_files(wanted.files, known)))
    ] == lines


BRIDGE = "net.bridge.bridge-nf-call-iptables"
TAKEN, BACK = (
    "remove that line, or let apply --comment-out-conflicts comment it out",
    "; a package update may bring it back",
)
STEPS = {
    "a file of the admin's": ({"/etc/sysctl.d/99-zzz.conf": f"{BRIDGE} = 0"}, TAKEN),
    "a file with blanks in its name": ({"/etc/sysctl.d/99-zzz my app.conf": f"{BRIDGE} = 0"}, "remove that line"),
    "a package's file": ({"/usr/lib/sysctl.d/99-zzz.conf": f"{BRIDGE} = 0"}, TAKEN + BACK),
    "the key's module is held back": ({"/etc/modprobe.d/x.conf": "install br_netfilter /bin/true"}, TAKEN),
    "by a package": ({"/lib/modprobe.d/x.conf": "blacklist br_netfilter"}, TAKEN + BACK),
    "in more than one line": ({"/etc/modprobe.d/x.conf": "install br_netfilter \\\n/bin/true"}, "remove that line"),
    "a name that is not quite ours": ({"/etc/sysctl.d/99-zz-nodeprep-q.r.conf": f"{BRIDGE} = 0"}, TAKEN),
}


@pytest.mark.parametrize(("files", "step"), STEPS.values(), ids=STEPS)
def test_take_over_is_advised_where_it_would_help_and_nowhere_else(files: dict[str, str], step: str) -> None:
    """As with --only sysctl: the profile's modules are not looked at, but the boot loads them all the same."""
    wanted = [rendered(f"{BRIDGE} = 1\n")]
    listed = {"/etc/modules-load.d/k.conf": "br_netfilter", **files}
    known = facts(listed, values={BRIDGE: "1"}, loaded=("br_netfilter",))
    desired = resolve(wanted, known)
    boot = NextBoot(known, planned_files(desired.files, known))
    item = diff(desired, known, boot).items[0]
    assert (item.status, item.next_step) == (ItemStatus.BOOT_DRIFT, step)
    assert [str(line) for line in conflicting_lines(desired, boot)] == (
        [item.decided_by] if "--comment-out-conflicts" in step else []
    )


def test_what_was_taken_over_of_a_package_may_come_back() -> None:
    lines = (Line("/etc/sysctl.d/x.conf", 1, "a = 1"), Line("/usr/lib/sysctl.d/x.conf", 3, " a = 1"))
    assert list(node_converge._commented_out_notes([Plan((), comment_out=lines), Plan(())], {})) == [
        "commented out /etc/sysctl.d/x.conf:1: a = 1",
        f"commented out /usr/lib/sysctl.d/x.conf:3: a = 1{BACK}",
    ]


def test_lines_are_taken_over_before_anything_is_loaded_or_set() -> None:
    plan = Plan((), modules=("foo",), comment_out=(Line("/etc/modprobe.d/x.conf", 3, "blacklist foo"),))
    assert instructions.apply_instructions(plan) == ["disable /etc/modprobe.d/x.conf 3 blacklist foo", "load foo"]


def test_a_line_is_commented_out_and_nothing_else(tmp_path: Path, shell: Shell) -> None:
    """Also through a link, as Debian's 99-sysctl.conf is one; mode and other lines stay."""
    folder = tmp_path / "etc"
    folder.mkdir()
    file, link = folder / "sysctl.conf", folder / "99-sysctl.conf"
    file.write_text("# one\na.b = 1\n  c.d = $(id) \\ '2'\nlast")
    file.chmod(0o640)
    link.symlink_to("sysctl.conf")
    shell.first([f"disable {link} 3   c.d = $(id) \\ '2'", "scan"])
    assert file.read_text() == "# one\na.b = 1\n# taken over by nodeprep:   c.d = $(id) \\ '2'\nlast"
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["99-sysctl.conf", "sysctl.conf"]


def test_a_line_that_has_changed_meanwhile_is_left_alone(tmp_path: Path, shell: Shell) -> None:
    file = tmp_path / "x.conf"
    file.write_text("new\nold\n")
    found = shell.first([f"disable {file} 1 old", "scan"])
    assert file.read_text() == "new\nold\n"
    assert found.complaints["disable", f"{file}:1"] == "line 1 has changed meanwhile"


def statuses(known: Facts, *, as_planned: bool = False) -> dict[str, ItemStatus]:
    wanted = resolve([rendered("net.core.somaxconn = 1\n", "foo\n")], known)
    files = planned_files(wanted.files, known) if as_planned else known.files
    return {item.name: item.status for item in diff(wanted, known, NextBoot(known, files)).items if item.kind != "file"}


def test_an_applied_node_will_be_right_after_the_next_boot() -> None:
    assert set(statuses(applied()[0]).values()) == {ItemStatus.OK}


@pytest.mark.parametrize(
    ("path", "text", "key", "module"),
    [
        ("/etc/sysctl.d/zz.conf", "net.core.somaxconn = 5", ItemStatus.BOOT_DRIFT, ItemStatus.OK),
        ("/etc/sysctl.d/zz.conf", "net.core.somaxconn = 0x1", ItemStatus.OK, ItemStatus.OK),
        ("/etc/sysctl.d/10.conf", "net.core.somaxconn = 5", ItemStatus.OK, ItemStatus.OK),
        ("/etc/modprobe.d/x.conf", "install foo /bin/false", ItemStatus.OK, ItemStatus.BOOT_DRIFT),
        ("/etc/modules-load.d/x.conf", "modprobe foo", ItemStatus.OK, ItemStatus.OK),
    ],
)
def test_another_file_beside_ours(path: str, text: str, key: ItemStatus, module: ItemStatus) -> None:
    assert statuses(applied((path, text))[0]) == {"net.core.somaxconn": key, "foo": module}


def test_a_masked_loader_takes_the_keys_of_its_modules_along() -> None:
    text, modules = "net.netfilter.nf_conntrack_max = 1\n", "nf_conntrack\n"
    bare = facts({}, values={"net.netfilter.nf_conntrack_max": "1"}, loaded=("nf_conntrack",))
    files = resolve([rendered(text, modules)], bare).files
    ours = {file.path: "\n".join(file.lines) for file in files}
    known = facts(
        ours, values={"net.netfilter.nf_conntrack_max": "1"}, loaded=("nf_conntrack",), masked=MODULES_LOAD_UNIT
    )
    plan = diff(resolve([rendered(text, modules)], known), known, NextBoot(known, known.files))
    assert [item.status for item in plan.items][:2] == [ItemStatus.BOOT_DRIFT] * 2
    assert all("masked" in item.why and "unmask" in item.next_step for item in plan.items[:2])


MASKS: dict[str, tuple[dict[str, object], str]] = {
    "in /etc": ({"masked": SYSCTL_UNIT}, f"systemctl unmask {SYSCTL_UNIT}"),
    "on the kernel's command line": (
        {"cmdline": f"systemd.mask={SYSCTL_UNIT}"},
        "take it off the kernel's command line, in the boot loader's configuration",
    ),
    "in /usr/lib": (
        {"units": {f"/usr/lib/systemd/system/{SYSCTL_UNIT}": UnitState.MASKED}},
        f"remove /usr/lib/systemd/system/{SYSCTL_UNIT}",
    ),
}


@pytest.mark.parametrize(("how", "step"), MASKS.values(), ids=MASKS)
def test_a_mask_is_taken_away_where_it_is(how: dict[str, object], step: str) -> None:
    known, _ = applied(**how)
    wanted = resolve([rendered("net.core.somaxconn = 1\n", "foo\n")], known)
    item = next(
        item for item in diff(wanted, known, NextBoot(known, known.files)).items if item.name.startswith("net.")
    )
    assert (item.status, item.next_step) == (ItemStatus.BOOT_DRIFT, step)


def test_an_earlier_repair_that_wins_is_taken_back_with_fix() -> None:
    fix = "/etc/sysctl.d/99-zz-nodeprep-zz-fix.conf"
    known, _ = applied((fix, "net.core.somaxconn = 7"))
    wanted = resolve([rendered("net.core.somaxconn = 1\n", "foo\n")], known)
    item = next(
        item for item in diff(wanted, known, NextBoot(known, known.files)).items if item.name.startswith("net.")
    )
    assert (item.got, item.next_step.startswith("fab -H NODE fix net.core.somaxconn=1")) == ("7 at boot", True)


def test_plan_looks_at_the_boot_after_our_files_are_written() -> None:
    known = facts({}, values={"net.core.somaxconn": "1"}, loaded=("foo",))
    assert set(statuses(known).values()) == {ItemStatus.BOOT_DRIFT}
    assert set(statuses(known, as_planned=True).values()) == {ItemStatus.OK}


def test_a_key_whose_module_nobody_loads_at_boot_will_be_lost() -> None:
    """A profile without modules, on a node where someone loaded br_netfilter by hand."""
    key = "net.bridge.bridge-nf-call-iptables"
    wanted = [rendered(f"{key} = 1\n")]
    bare = facts({}, values={key: "1"}, loaded=("br_netfilter",))
    (file,) = resolve(wanted, bare).files
    known = facts({file.path: "\n".join(file.lines)}, values={key: "1"}, loaded=("br_netfilter",))
    item = diff(resolve(wanted, known), known, NextBoot(known, known.files)).items[0]
    assert (item.status, item.why) == (ItemStatus.BOOT_DRIFT, "no file of modules-load.d names it")


@pytest.mark.parametrize(("value", "status"), [("5", "boot-drift"), ("1", "skipped")])
def test_a_key_that_is_hidden_from_the_user_is_still_judged_for_the_next_boot(value: str, status: str) -> None:
    known = facts({"/etc/sysctl.d/zz.conf": f"net.core.somaxconn = {value}"})
    known = replace(known, present=known.present | {"/proc/sys/net/core/somaxconn"}, uid=1000)
    wanted = resolve([rendered("net.core.somaxconn = 1\n")], known)
    (item, *_) = diff(wanted, known, NextBoot(known, planned_files(wanted.files, known))).items
    assert (item.name, str(item.status)) == ("net.core.somaxconn", status)


def test_a_value_in_a_command_is_one_word_for_a_shell() -> None:
    fix, value = "/etc/sysctl.d/99-zz-nodeprep-zz-fix.conf", "|/bin/x 'a'; reboot"
    known = facts({fix: "kernel.core_pattern = 7\n"}, values={"kernel.core_pattern": value})
    wanted = resolve([rendered(f"kernel.core_pattern = {value}\n")], known)
    items = diff(wanted, known, NextBoot(known, planned_files(wanted.files, known))).items
    step = next(item.next_step for item in items if item.name == "kernel.core_pattern")
    assert shlex.split(step)[4] == f"kernel.core_pattern={value}"


# Found in one pass

KEY_LINES = st.sampled_from(
    [
        "net.ipv4.ip_forward = 0",
        "net.ipv4.ip_forward = 1",
        "net/ipv4/ip_forward=0",
        "net.ipv4.conf.all.forwarding = 0",
        "net.ipv4.conf.all.forwarding = 1",
        "net.ipv4.* = 0",
        "-net.ipv4.ip_forward",
        "# a comment",
        "vm.dirty_bytes = 7",
        "vm.dirty_ratio = 0",
        "vm.dirty_ratio = 9",
    ]
)
MODULE_LINES = st.sampled_from(
    ["blacklist foo", "install foo /bin/true", "install f* modprobe -i foo", "alias foo off", "alias f* foo", "# none"]
)


def one_by_one(desired: Desired, boot: NextBoot) -> set[str]:
    """Find the lines in the way as slowly as can be: the one that decides, and then everything anew."""
    found: list[Line] = []
    while True:
        obstacles = [*map(boot.module_obstacle, desired.modules)]
        lines = [obstacle.line for obstacle in obstacles if obstacle and "/modprobe.d/" in obstacle.line.path]
        for setting in desired.settings:
            last = boot.key(setting.key)
            right = last and last.value is not None and satisfies(setting.key, last.value, setting.value, None)
            lines += [last.line] if last and not right else []
        new = [line for line in lines if line.number and "nodeprep" not in line.path and line not in found]
        if not new:
            return set(map(str, found))
        found += new
        boot = boot.without_lines(found)


@given(st.lists(KEY_LINES, max_size=8), st.lists(KEY_LINES, max_size=3), st.lists(MODULE_LINES, max_size=5))
def test_the_lines_in_the_way_are_those_found_one_by_one(early: list[str], late: list[str], modules: list[str]) -> None:
    wanted = [rendered("net.ipv4.ip_forward = 1\nvm.dirty_ratio = 9\n", "foo\n")]
    known = facts(
        {
            "/etc/sysctl.d/99-zzz.conf": "\n".join(early),
            "/usr/lib/sysctl.d/99-zzzz.conf": "\n".join(late),
            "/etc/modprobe.d/x.conf": "\n".join(modules),
        },
        values={"net.ipv4.ip_forward": "1", "vm.dirty_ratio": "9"},
        loaded=("foo",),
    )
    desired = resolve(wanted, known)
    boot = NextBoot(known, planned_files(desired.files, known))
    assert set(map(str, conflicting_lines(desired, boot))) == one_by_one(desired, boot)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/etc/sysctl.d/zz.conf", "net.core.somaxconn = 5"),
        ("/etc/modprobe.d/x.conf", "blacklist foo"),
        ("/etc/modprobe.d/x.conf", "install foo /bin/true"),
        ("/etc/modprobe.d/x.conf", "alias foo off"),
    ],
)
def test_thousands_of_lines_in_the_way_are_found_with_two_boots(
    path: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = facts({path: f"{line}\n" * 5000}, values={"net.core.somaxconn": "1"}, loaded=("foo",))
    desired = resolve([rendered("net.core.somaxconn = 1\n", "foo\n")], known)
    boots: list[int] = []
    real = NextBoot.without_lines

    def counted(boot: NextBoot, lines: Collection[Line]) -> NextBoot:
        boots.append(len(lines))
        return real(boot, lines)

    monkeypatch.setattr(NextBoot, "without_lines", counted)
    found = conflicting_lines(desired, NextBoot(known, planned_files(desired.files, known)))
    assert [line.number for line in found] == list(range(1, 5001))
    assert boots == [5000]


def test_lines_in_the_way_that_alternate_without_end_are_the_nodes_error() -> None:
    text = "net.ipv4.ip_forward = 0\nnet.ipv4.conf.all.forwarding = 0\n" * 50
    known = facts(
        {"/etc/sysctl.d/zz.conf": "".join(f"{line}\n" for line in text.split("\n"))}, runs="openrc", links=DEBIAN
    )
    desired = resolve([rendered("net.ipv4.ip_forward = 1\n", None)], replace(known, values=FORWARD))
    with pytest.raises(RemoteError, match="alternate"):
        conflicting_lines(desired, NextBoot(known, planned_files(desired.files, known)))


FORWARD = {"/proc/sys/net/ipv4/ip_forward": "1"}
