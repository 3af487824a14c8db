"""The next boot as tables: files in, who wins out. That real boots agree is shown in tests/lab."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.core.boot.inits import LOADER, SETTER
from tasks.core.boot.simulation import NextBoot
from tasks.core.boot.sysctl import Assignment
from tasks.core.facts import Facts, Line, UnitState
from tasks.core.ownfiles import RenderedFile
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import diff
from tasks.core.plan.persistence import planned_files
from tasks.core.result import ItemStatus
from tests.support.boots import DEBIAN, LISTED, boot, facts
from tests.support.builders import rendered

ETC, LIB, LOCAL, RUN = "/etc/sysctl.d", "/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d", "/run/sysctl.d"
KEYS: list[tuple[str, dict[str, str], str | None]] = [
    ("one file", {f"{ETC}/a.conf": "x.y=1"}, f"1 {ETC}/a.conf:1"),
    ("no file", {}, None),
    ("a comment is no line", {f"{ETC}/a.conf": "# x.y=1\n;x.y=2"}, None),
    ("the later name wins", {f"{ETC}/a.conf": "x.y=1", f"{ETC}/b.conf": "x.y=2"}, f"2 {ETC}/b.conf:1"),
    ("a vendor's later name wins", {f"{ETC}/a.conf": "x.y=1", f"{LIB}/z.conf": "x.y=2"}, f"2 {LIB}/z.conf:1"),
    ("the folder does not decide", {f"{LIB}/a.conf": "x.y=1", f"{ETC}/b.conf": "x.y=2"}, f"2 {ETC}/b.conf:1"),
    ("the same name masks", {f"{LIB}/a.conf": "x.y=1", f"{ETC}/a.conf": "x.z=2"}, None),
    ("an empty file masks", {f"{LIB}/a.conf": "x.y=1", f"{ETC}/a.conf": ""}, None),
    ("/usr/local/lib masks /usr/lib", {f"{LIB}/a.conf": "x.y=1", f"{LOCAL}/a.conf": "x.y=3"}, f"3 {LOCAL}/a.conf:1"),
    ("the last line of a file", {f"{ETC}/a.conf": "x.y=1\nx.y=2\n"}, f"2 {ETC}/a.conf:2"),
    ("slashes are dots", {f"{ETC}/a.conf": "x/y = 4"}, f"4 {ETC}/a.conf:1"),
    ("a dash forgives errors", {f"{ETC}/a.conf": "-x.y = 4"}, f"4 {ETC}/a.conf:1"),
    ("only .conf", {f"{ETC}/a.conf.bak": "x.y=1", f"{ETC}/README": "x.y=2"}, None),
    ("/etc/sysctl.conf alone is not read", {"/etc/sysctl.conf": "x.y=1"}, None),
    ("Debian's link to it is", {"/etc/sysctl.conf": "x.y=1", f"{ETC}/99-a.conf": "x.y=1"}, f"1 {ETC}/99-a.conf:1"),
    ("/run is empty at boot", {f"{RUN}/z.conf": "x.y=9", f"{ETC}/a.conf": "x.y=1"}, f"1 {ETC}/a.conf:1"),
    ("a glob", {f"{ETC}/a.conf": "x.*=5"}, f"5 {ETC}/a.conf:1"),
    ("a name beats a later glob", {f"{ETC}/a.conf": "x.y=1", f"{ETC}/b.conf": "x.*=5"}, f"1 {ETC}/a.conf:1"),
    ("the later of two globs", {f"{ETC}/a.conf": "x.*=5", f"{ETC}/b.conf": "*.y=6"}, f"6 {ETC}/b.conf:1"),
    ("an exclusion from globs", {f"{ETC}/a.conf": "x.*=5\n-x.y"}, None),
    ("an exclusion after a line by name", {f"{ETC}/a.conf": "x.y=1", f"{ETC}/z.conf": "-x.y"}, f"None {ETC}/z.conf:1"),
    ("an exclusion before a line by name", {f"{ETC}/a.conf": "-x.y", f"{ETC}/z.conf": "x.y=1"}, f"1 {ETC}/z.conf:1"),
    ("an exclusion with a star excludes nothing", {f"{ETC}/a.conf": "x.y*=5\n-x.*"}, f"5 {ETC}/a.conf:1"),
    ("a star stays within its part", {f"{ETC}/a.conf": "*=5"}, None),
    ("values are folded", {f"{ETC}/a.conf": "x.y =  1\t 2 "}, f"1 2 {ETC}/a.conf:1"),
    ("a slash in front is dropped", {f"{ETC}/a.conf": "/x//y = 4"}, f"4 {ETC}/a.conf:1"),
    ("a line without a value and a dash is nothing", {f"{ETC}/a.conf": "x.y=1\nx.y"}, f"1 {ETC}/a.conf:1"),
    ("a blank after the dash", {f"{ETC}/a.conf": "- x.y = 4"}, f"4 {ETC}/a.conf:1"),
    ("an unset key that is left out of patterns", {f"{LIB}/50-default.conf": "-x.y"}, None),
    ("a pattern that is left out by the same pattern", {f"{ETC}/a.conf": "x.*=5\n-x.*"}, None),
    ("a pattern that comes again with its value keeps its place",
     {f"{ETC}/a.conf": "x.*=5", f"{ETC}/b.conf": "*.y=6", f"{ETC}/c.conf": "x.*=5"}, f"6 {ETC}/b.conf:1"),
    ("a pattern that comes again with another value goes to the end",
     {f"{ETC}/a.conf": "x.*=4", f"{ETC}/b.conf": "*.y=6", f"{ETC}/c.conf": "x.*=5"}, f"5 {ETC}/c.conf:1"),
    ("brackets and question marks", {f"{ETC}/a.conf": "x.[xyz]=5\n?.z=6"}, f"5 {ETC}/a.conf:1"),
    ("ufw comes last", {"/etc/ufw/ufw.conf": "ENABLED=yes", "/etc/ufw/sysctl.conf": "x/y=7", f"{ETC}/z.conf": "x.y=1"},
     "7 /etc/ufw/sysctl.conf:1"),
    ("ufw that is off", {"/etc/ufw/ufw.conf": "ENABLED=no", "/etc/ufw/sysctl.conf": "x/y=7"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("files", "wins"), [case[1:] for case in KEYS], ids=[case[0] for case in KEYS])
def test_the_line_that_has_the_last_word_on_a_key(files: dict[str, str], wins: str | None) -> None:
    found = boot(files).key("x.y")
    assert (f"{found.value} {found.line}" if found else None) == wins


FORWARD, ALL = "net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"
TOGETHER = {
    "a twin set later": (FORWARD, f"{FORWARD}=1\n{ALL}=0", "0 a.conf:2"),
    "a twin set earlier": (FORWARD, f"{ALL}=0\n{FORWARD}=1", "1 a.conf:2"),
    "a twin alone": (FORWARD, f"{ALL}=1", "1 a.conf:1"),
    "a later pattern that holds the twin": (FORWARD, f"{FORWARD}=1\nnet.ipv4.conf.*.forwarding=0", "0 a.conf:2"),
    "the twin is left out of it": (FORWARD, f"{FORWARD}=1\nnet.ipv4.conf.*.forwarding=0\n-{ALL}", "1 a.conf:1"),
    "conntrack's two names": (
        "net.netfilter.nf_conntrack_max",
        "net.netfilter.nf_conntrack_max=9\nnet.nf_conntrack_max=5",
        "5 a.conf:2",
    ),
    "bytes make the ratio 0": ("vm.dirty_ratio", "vm.dirty_ratio=10\nvm.dirty_bytes=4096", "0 a.conf:2"),
    "no bytes leave it": ("vm.dirty_ratio", "vm.dirty_ratio=10\nvm.dirty_bytes=0", "10 a.conf:1"),
    "the ratio after the bytes": ("vm.dirty_ratio", "vm.dirty_bytes=4096\nvm.dirty_ratio=10", "10 a.conf:2"),
}


@pytest.mark.parametrize(("key", "text", "wins"), TOGETHER.values(), ids=TOGETHER)
def test_keys_that_the_kernel_holds_together(key: str, text: str, wins: str) -> None:
    found = boot({f"{ETC}/a.conf": text}).key(key)
    assert found is not None
    assert f"{found.value} {found.line}".replace(f"{ETC}/", "") == wins


def test_the_kernels_command_line_sets_keys_before_any_file_does() -> None:
    cmdline = 'quiet sysctl.x.y="1 2" sysctl/a/b=3'
    early = boot({f"{ETC}/a.conf": "a.b=4"}, cmdline=cmdline)
    assert [early.key("x.y"), early.key("a.b")] == [
        Assignment("1 2", Line("/proc/cmdline", 0, "x.y=1 2")),
        Assignment("4", Line(f"{ETC}/a.conf", 1, "a.b=4")),
    ]


LOADED: dict[str, dict[str, object]] = {
    "named": {"files": {"/etc/modules-load.d/a.conf": "foo"}},
    "named with the other dash": {"files": {"/etc/modules-load.d/a.conf": "f-oo"}, "name": "f_oo"},
    "builtin": {"files": {}, "builtin": "foo"},
    "on the kernel's command line": {"files": {}, "cmdline": "quiet modules_load=bar,foo"},
    "what a loaded module needs": {
        "files": {"/etc/modules-load.d/a.conf": "bar"},
        "needs": {"bar": frozenset({"foo"})},
    },
    "a blacklisted dependency": {
        "files": {"/etc/modules-load.d/a.conf": "foo\nbar", "/etc/modprobe.d/b.conf": "blacklist foo"},
        "needs": {"bar": frozenset({"foo"})},
    },
    "what a module needs that is installed away itself": {
        "files": {"/etc/modules-load.d/a.conf": "bar", "/etc/modprobe.d/b.conf": "install bar /bin/false"},
        "needs": {"bar": frozenset({"foo"})},
    },
    "an install line that does load it": {
        "files": {
            "/etc/modules-load.d/a.conf": "foo",
            "/etc/modprobe.d/b.conf": "install foo /sbin/modprobe --ignore-install foo",
        }
    },
    "a blacklist in a masked file": {
        "files": {
            "/etc/modules-load.d/a.conf": "foo",
            "/etc/modprobe.d/b.conf": "",
            "/usr/lib/modprobe.d/b.conf": "blacklist foo",
        }
    },
    "a blacklist of a pattern, which kmod does not know": {
        "files": {"/etc/modules-load.d/a.conf": "foo", "/etc/modprobe.d/b.conf": "blacklist f*"}
    },
    "an alias to itself": {"files": {"/etc/modules-load.d/a.conf": "foo", "/etc/modprobe.d/b.conf": "alias f* foo"}},
    "on the kernel's command line, the other way": {"files": {}, "cmdline": 'modules-load="bar,foo"'},
    "only the last refusal on the command line counts": {
        "files": {"/etc/modules-load.d/a.conf": "foo"},
        "cmdline": "module_blacklist=foo module_blacklist=bar",
    },
    "an install line of two that does load it": {
        "files": {
            "/etc/modules-load.d/a.conf": "foo",
            "/etc/modprobe.d/b.conf": "install foo \\\n /sbin/modprobe -i foo; /bin/true",
        }
    },
    "with parameters, where scripts load it": {
        "files": {"/etc/modules-load.d/a.conf": "foo size=5"},
        "runs": "openrc",
        "links": DEBIAN,
    },
    "in /etc/modules, where scripts read it": {"files": {"/etc/modules": "foo"}, "runs": "openrc", "links": DEBIAN},
    "blacklisted, where scripts ask for it by name": {
        "files": {"/etc/modules": "foo", "/etc/modprobe.d/b.conf": "blacklist foo"},
        "runs": "openrc",
        "links": DEBIAN,
    },
    "a blacklist in /run": {"files": {"/etc/modules-load.d/a.conf": "foo", "/run/modprobe.d/b.conf": "blacklist foo"}},
}


@pytest.mark.parametrize("case", LOADED.values(), ids=LOADED)
def test_a_module_will_be_there(case: dict[str, object]) -> None:
    more = dict(case)
    name = str(more.pop("name", "foo"))
    assert boot(**more).module_obstacle(name) is None  # type: ignore[arg-type]


NOBODY = "no file of modules-load.d names it"
ABSENT: dict[str, tuple[dict[str, object], str]] = {
    "the first install line counts": (
        {
            "files": {
                **LISTED,
                "/etc/modprobe.d/a.conf": "install foo /bin/false",
                "/etc/modprobe.d/z.conf": "install foo /sbin/modprobe --ignore-install foo",
            }
        },
        "/etc/modprobe.d/a.conf:1: modprobe runs /bin/false instead of loading foo",
    ),
    "a pattern, and a program without its folder": (
        {"files": {**LISTED, "/etc/modprobe.d/a.conf": "install f* true"}},
        "/etc/modprobe.d/a.conf:1: modprobe runs true instead of loading foo",
    ),
    "what it needs is installed away": (
        {
            "files": {**LISTED, "/etc/modprobe.d/a.conf": "install bar /bin/true"},
            "needs": {"foo": frozenset({"bar"})},
        },
        "/etc/modprobe.d/a.conf:1: modprobe runs /bin/true instead of loading bar, which foo needs",
    ),
    "blacklisted on the kernel's command line": (
        {"files": LISTED, "cmdline": "modprobe.blacklist=bar,foo"},
        "/proc/cmdline: foo is blacklisted",
    ),
    "with parameters, which systemd takes for a part of the name": (
        {"files": {"/etc/modules-load.d/a.conf": "foo size=5"}},
        "/etc/modules-load.d/a.conf:1: `foo size=5` is no module name and loads nothing",
    ),
    "/etc/modules, which systemd does not read": ({"files": {"/etc/modules": "foo"}}, NOBODY),
    "an install line over two lines": (
        {"files": {**LISTED, "/etc/modprobe.d/a.conf": "install foo \\\n  /bin/true"}},
        "/etc/modprobe.d/a.conf:1: modprobe runs /bin/true instead of loading foo",
    ),
    "an install line that runs something else": (
        {"files": {**LISTED, "/etc/modprobe.d/a.conf": "install foo logger no foo here"}},
        "/etc/modprobe.d/a.conf:1: modprobe runs logger no foo here instead of loading foo",
    ),
    "an alias that leads nowhere": (
        {"files": {**LISTED, "/etc/modprobe.d/a.conf": "alias foo off"}},
        "/etc/modprobe.d/a.conf:1: modprobe takes foo for off",
    ),
    "the loader is masked by its short name": (
        {"files": LISTED, "cmdline": "systemd.mask=systemd-modules-load"},
        f"/proc/cmdline: {LOADER} is masked",
    ),
    "pasted, where scripts load": (
        {"files": {"/etc/modules": "modprobe foo"}, "runs": "openrc", "links": DEBIAN},
        "/etc/modules:1: `modprobe foo` is no module name and loads nothing",
    ),
    "installed away, where scripts load": (
        {
            "files": {"/etc/modules": "foo", "/etc/modprobe.d/b.conf": "install foo /bin/true"},
            "runs": "openrc",
            "links": DEBIAN,
        },
        "/etc/modprobe.d/b.conf:1: modprobe runs /bin/true instead of loading foo",
    ),
    "only in the initrd": ({"files": {}, "cmdline": "rd.modules_load=foo"}, NOBODY),
    "the loader is masked on the kernel's command line": (
        {"files": LISTED, "cmdline": f"systemd.mask={LOADER}"},
        f"/proc/cmdline: {LOADER} is masked",
    ),
    "nobody names it": ({"files": {}}, NOBODY),
    "its file is masked": (
        {"files": {"/usr/lib/modules-load.d/a.conf": "foo", "/etc/modules-load.d/a.conf": ""}},
        "no file of modules-load.d names it",
    ),
    "a pasted command": (
        {"files": {"/etc/modules-load.d/k.conf": "# x\nmodprobe foo"}},
        "/etc/modules-load.d/k.conf:2: `modprobe foo` is no module name and loads nothing",
    ),
    "blacklisted": (
        {"files": {"/etc/modules-load.d/a.conf": "foo", "/etc/modprobe.d/b.conf": "blacklist foo"}},
        "/etc/modprobe.d/b.conf:1: foo is blacklisted",
    ),
    "installed away": (
        {"files": {"/etc/modules-load.d/a.conf": "foo", "/etc/modprobe.d/b.conf": "install foo /bin/true"}},
        "/etc/modprobe.d/b.conf:1: modprobe runs /bin/true instead of loading foo",
    ),
    "the kernel refuses it": (
        {"files": {"/etc/modules-load.d/a.conf": "foo"}, "cmdline": "module_blacklist=foo,bar"},
        "/proc/cmdline: the kernel refuses foo",
    ),
    "the loader is masked": (
        {"files": {"/etc/modules-load.d/a.conf": "foo"}, "masked": LOADER},
        f"/etc/systemd/system/{LOADER}: {LOADER} is masked",
    ),
}


@pytest.mark.parametrize(("case", "why"), ABSENT.values(), ids=ABSENT)
def test_a_module_will_not_be_there(case: dict[str, object], why: str) -> None:
    assert str(boot(**case).module_obstacle("foo")) == why  # type: ignore[arg-type]


def test_a_masked_setter_sets_nothing() -> None:
    assert "masked" in str(boot({"/etc/sysctl.d/a.conf": "x.y=1"}, masked=SETTER).setter_obstacle())
    assert boot({}).setter_obstacle() is None


def test_nothing_is_claimed_about_a_node_whose_init_is_unknown() -> None:
    wanted = [rendered("net.ipv4.tcp_fin_timeout = 30")]
    known = facts({}, values={"net.ipv4.tcp_fin_timeout": "30"}, runs="runit")
    plan = diff(resolve(wanted, known), known, NextBoot(known, known.files))
    assert [item.status for item in plan.items] == [ItemStatus.OK, ItemStatus.DRIFT]


def applied(*more: tuple[str, str], **how: object) -> tuple[Facts, list[RenderedFile]]:
    """A node that has the profile `a.b = 1` and the module foo, in files and running, and other files besides."""
    text, modules = "net.core.somaxconn = 1\n", "foo\n"
    bare = facts({}, values={"net.core.somaxconn": "1"}, loaded=("foo",))
    files = list(resolve([rendered(text, modules)], bare).files)
    ours = {file.path: "\n".join(file.lines) for file in files}
    known = facts({**ours, **dict(more)}, values={"net.core.somaxconn": "1"}, loaded=("foo",), **how)  # type: ignore[arg-type]
    return known, files


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
    known = facts(ours, values={"net.netfilter.nf_conntrack_max": "1"}, loaded=("nf_conntrack",), masked=LOADER)
    plan = diff(resolve([rendered(text, modules)], known), known, NextBoot(known, known.files))
    assert [item.status for item in plan.items][:2] == [ItemStatus.BOOT_DRIFT] * 2
    assert all("masked" in item.why and "unmask" in item.next_step for item in plan.items[:2])


MASKS: dict[str, tuple[dict[str, object], str]] = {
    "in /etc": ({"masked": SETTER}, f"systemctl unmask {SETTER}"),
    "on the kernel's command line": (
        {"cmdline": f"systemd.mask={SETTER}"},
        "take it off the kernel's command line, in the boot loader's configuration",
    ),
    "in /usr/lib": (
        {"units": {f"/usr/lib/systemd/system/{SETTER}": UnitState.MASKED}},
        f"remove /usr/lib/systemd/system/{SETTER}",
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
    assert (item.got, item.next_step.startswith("fab -H NODE fix net.core.somaxconn='1'")) == ("7 at boot", True)


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


@pytest.mark.parametrize(("uid", "found"), [(1000, [ItemStatus.BOOT_DRIFT]), (0, [])], ids=["as a user", "as root"])
def test_a_file_that_we_may_not_read_may_undo_everything_at_boot(uid: int, found: list[ItemStatus]) -> None:
    known, _ = applied(("/etc/sysctl.d/zz.conf", ""))
    shut = known.files["/etc/sysctl.d/zz.conf"]._replace(mode=0o600)
    known = replace(known, uid=uid, files={**known.files, shut.path: shut})
    plan = diff(resolve([], known), known, NextBoot(known, known.files))
    assert [item.status for item in plan.items] == found


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/etc/modprobe.d/acme-nodeprep-x.conf", True),
        ("/etc/sysctl.d/50-nodeprep-foo.conf", True),
        ("/etc/modprobe.d/nodeprep-x.conf", True),
        ("/etc/sysctl.d/99-zz-nodeprep-x.conf", False),
        ("/etc/modules-load.d/nodeprep-x.conf", False),
    ],
)
def test_a_file_of_somebody_else_is_told_though_its_name_has_ours_in_it(path: str, told: bool) -> None:
    known = facts({path: ""})
    known = replace(known, uid=1000, files={path: known.files[path]._replace(mode=0o600)})
    plan = diff(resolve([], known), known, NextBoot(known, known.files))
    assert [item.name for item in plan.items] == ([path] if told else [])
