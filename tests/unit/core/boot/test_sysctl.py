"""The last line of each key as a table. tests/lab compares it with real boots."""

from __future__ import annotations

import pytest

from tasks.core.boot.sysctl import Assignment
from tasks.core.facts import Line
from tests.support.boots import ALPINE, DEBIAN, boot

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
