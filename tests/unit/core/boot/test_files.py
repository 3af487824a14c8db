"""The files that a boot reads: masks, order, and the kernel's command line."""

from __future__ import annotations

import pytest

from tasks.core.boot.files import Obstacle, join_continued, kernel_arguments
from tasks.core.facts import Line
from tests.support.boots import ALPINE, DEBIAN, boot

ETC, LIB = "/etc/sysctl.d", "/usr/lib/sysctl.d"


BUSYBOX = {"/sbin/sysctl": "/bin/busybox"}


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


ARGUMENTS = {
    "names and values": ("quiet sysctl.vm.x=1 modules_load=a,b", (("sysctl.vm.x", "1"), ("modules_load", "a,b"))),
    "blanks between quotes": ('sysctl.net.x="1 2" ro', (("sysctl.net.x", "1 2"),)),
    "a quote around the whole": ('"sysctl.net.x=1 2"', (("sysctl.net.x", "1 2"),)),
    "an open quote": ('sysctl.x="1 2', (("sysctl.x", "1 2"),)),
    "no value": ("systemd.mask", (("systemd.mask", ""),)),
    "another": ("root=/dev/vda1 debug", ()),
}


@pytest.mark.parametrize(("text", "pairs"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_kernel_command_line_is_split_at_blanks_outside_of_quotes(
    text: str, pairs: tuple[tuple[str, str], ...]
) -> None:
    assert kernel_arguments(text) == pairs


def test_lines_are_joined_where_a_backslash_continues_them() -> None:
    lines = [Line("/a", 1, "install x \\"), Line("/a", 2, "/bin/true"), Line("/a", 4, "y \\"), Line("/b", 5, "z")]
    joined = join_continued(lines)
    assert [(line.number, line.words) for line in joined] == [
        (1, ["install", "x", "/bin/true"]),
        (4, ["y", "\\"]),
        (5, ["z"]),
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [("/etc/systemd/system/x.service", "/etc/systemd/system/x.service: it is so"), ("", "it is so")],
)
def test_an_obstacle_names_its_place_where_it_has_one(path: str, text: str) -> None:
    assert str(Obstacle("it is so", Line(path, 0, ""))) == text
