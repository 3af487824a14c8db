"""Entries: the meaning of each line, and the mistakes in one, reported with the template's own line."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ProfileError
from tasks.core.profile.entries import ModuleEntry, SysctlEntry, are_compatible, format_entry
from tasks.core.profile.profile import render
from tests.support.builders import profile, rendered
from tests.support.profiles import profile_error


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("net.ipv4.ip_forward = 1", SysctlEntry(1, "net.ipv4.ip_forward", "1", False, False)),
        ("net.ipv4.ip_forward=1", SysctlEntry(1, "net.ipv4.ip_forward", "1", False, False)),
        ("net.ipv4.tcp_fin_timeout \t\t\t= 30", SysctlEntry(1, "net.ipv4.tcp_fin_timeout", "30", False, False)),
        ("  vm.x  =  1  ", SysctlEntry(1, "vm.x", "1", False, False)),
        ("net/ipv4/ip_forward = 1", SysctlEntry(1, "net.ipv4.ip_forward", "1", False, False)),
        ("net.ipv4.conf.eth0/1.x = 1", SysctlEntry(1, "net.ipv4.conf.eth0/1.x", "1", False, False)),
        ("net/ipv4/conf/eth0.1/x = 1", SysctlEntry(1, "net.ipv4.conf.eth0/1.x", "1", False, False)),
        ("vm.x >= 1", SysctlEntry(1, "vm.x", "1", True, False)),
        ("vm.x>=0x10", SysctlEntry(1, "vm.x", "0x10", True, False)),
        ("-vm.x = 1", SysctlEntry(1, "vm.x", "1", False, True)),
        ("- vm.x >= 1", SysctlEntry(1, "vm.x", "1", True, True)),
        ("vm.x = 1024\t65535", SysctlEntry(1, "vm.x", "1024 65535", False, False)),
        ("kernel.core_pattern = |/bin/x %p %=", SysctlEntry(1, "kernel.core_pattern", "|/bin/x %p %=", False, False)),
        ("a.b = c#d", SysctlEntry(1, "a.b", "c#d", False, False)),
        (
            "net.ipv4.ip_local_reserved_ports >= 6443,30000-32767",
            SysctlEntry(1, "net.ipv4.ip_local_reserved_ports", "6443,30000-32767", True, False),
        ),
    ],
)
def test_a_line_of_sysctl_conf_is_an_entry(line: str, entry: SysctlEntry) -> None:
    assert rendered(sysctl=line).sysctl == (entry,)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("overlay", ModuleEntry(1, ("overlay",), False)),
        ("  br-netfilter ", ModuleEntry(1, ("br-netfilter",), False)),
        ("-ip_set", ModuleEntry(1, ("ip_set",), True)),
        ("- ip_set", ModuleEntry(1, ("ip_set",), True)),
        ("nf_conntrack | nf_conntrack_ipv4", ModuleEntry(1, ("nf_conntrack", "nf_conntrack_ipv4"), False)),
        ("-a|b|c", ModuleEntry(1, ("a", "b", "c"), True)),
    ],
)
def test_a_line_of_modules_load_conf_is_an_entry(line: str, entry: ModuleEntry) -> None:
    assert rendered(modules=line).modules == (entry,)


SYSCTL_MISTAKES: Mapping[str, tuple[str, int, str]] = {
    "a key without a value": ("# c\nnet.ipv4.ip_forward\n", 2, "expected `key = value`"),
    "an empty value": ("net.ipv4.ip_forward =\n", 1, "expected `key = value`"),
    "an empty value after spaces": ("vm.y = 2\nvm.x =   \n", 2, "expected `key = value`"),
    "a value without a key": ("= 1\n", 1, "expected `key = value`"),
    "an unknown operator": ("vm.x <= 1\n", 1, "expected `key = value`"),
    "an operator turned round": ("vm.x => 1\n", 1, "expected `key = value`"),
    "a doubled equals sign": ("vm.x == 1\n", 1, "expected `key = value`"),
    "a shell command": ("sysctl -w vm.x=1\n", 1, "expected `key = value`"),
    "double quotes": ('vm.x = "30"\n', 1, "does not remove quotes"),
    "single quotes": ("vm.x = '30'\n", 1, "does not remove quotes"),
    "a trailing comment": ("vm.x = 1 # why\n", 1, "a comment after a value"),
    "a trailing comment with a semicolon": ("vm.x = 1 ;why\n", 1, "a comment after a value"),
    "a star": ("net.ipv4.conf.*.rp_filter = 1\n", 1, "globs work on some nodes only"),
    "a set of letters": ("net.ipv4.conf.eth[01].x = 1\n", 1, "globs work on some nodes only"),
    "a step out of proc sys": ("../../etc/x = 1\n", 1, "is not a sysctl key"),
    "an absolute path": ("/proc/sys/vm/x = 1\n", 1, "is not a sysctl key"),
    "a byte order mark": ("\ufeffvm.x = 1\n", 1, "is not a sysctl key"),
    "a nul byte": ("vm.x = 1\n\0\n", 0, "NUL"),
    "an escape": ("# \x1b[31mred\n", 1, "control character '\\x1b'"),
    "a bell in a value": ("vm.x = 1\x072\n", 1, "control character '\\x07'"),
    "a c1 control": ("# \x9b31m\n", 1, "control character '\\x9b'"),
    "a value that is not ascii": ("kernel.hostname = knöten\n", 1, "plain ASCII"),
    "a digit that is not ascii": ("vm.x = ١\n", 1, "plain ASCII"),
    "two values for one key": ("vm.x = 1\n# c\nvm.x = 2\n", 3, "another value in line 1"),
    "two values for one key in two spellings": ("vm.x = 1\nvm/x = 2\n", 2, "vm.x has another value in line 1"),
    "a value and a minimum": ("vm.x = 1\nvm.x >= 1\n", 2, "another value in line 1"),
    "the lock of modules": ("kernel.modules_disabled = 1\n", 1, "cannot be a setting"),
    "a flush of routes": ("net/ipv4/route/flush = 1\n", 1, "cannot be a setting"),
    "dropping caches": ("-vm.drop_caches = 3\n", 1, "cannot be a setting"),
    "a minimum of text": ("net.ipv4.tcp_congestion_control >= bbr\n", 1, "compares integers"),
    "a minimum partly of text": ("vm.x >= 1 two\n", 1, "compares integers"),
    "a minimum that the kernel reads otherwise": ("vm.x >= 1_000\n", 1, "compares integers"),
    "ports that are none": ("net.ipv4.ip_local_reserved_ports >= http\n", 1, "expected ports such as"),
    "ports with blanks": ("net.ipv4.ip_local_reserved_ports = 10, 20\n", 1, "expected ports such as"),
    "a port too high": ("net.ipv4.ip_local_reserved_ports = 1-65536\n", 1, "expected ports such as"),
    "a line too long": (f"# c\n# {'x' * 4095}\n", 2, "4096 bytes"),
    "a line too long in bytes": (f"# {'ö' * 2048}\n", 1, "4096 bytes"),
    "half a character": ("vm.x = \udcff\n", 1, "unexpected control character '\\udcff'"),
    "text that runs backwards": ("# \u202eevil\n", 1, "unexpected control character '\\u202e'"),
}


@pytest.mark.parametrize("plain", [False, True], ids=["template", "plain"])
@pytest.mark.parametrize("mistake", SYSCTL_MISTAKES)
def test_a_mistake_in_sysctl_conf_is_reported_with_its_line(mistake: str, plain: bool) -> None:
    content, line, words = SYSCTL_MISTAKES[mistake]
    with pytest.raises(ProfileError) as caught:
        render(profile(content, template=not plain), {})
    assert caught.value.line == line
    assert words in caught.value.problem
    assert caught.value.source == ("templates/p/sysctl.conf" if plain else "templates/p/sysctl.conf.j2")


MODULE_MISTAKES: Mapping[str, tuple[str, int, str]] = {
    "a modprobe line": ("overlay\nmodprobe ip_vs\n", 2, "got 'modprobe ip_vs'; write 'ip_vs'"),
    "an insmod line": ("insmod overlay\n", 1, "write 'overlay'"),
    "options": ("nf_conntrack hashsize=65536\n", 1, "expected a bare module name"),
    "a trailing comment": ("overlay # images\n", 1, "nothing else in the line"),
    "a path": ("/lib/modules/x.ko\n", 1, "expected a bare module name"),
    "a file": ("overlay.ko\n", 1, "expected a bare module name"),
    "two names": ("overlay br_netfilter\n", 1, "expected a bare module name"),
    "a glob": ("ip_vs*\n", 1, "expected a bare module name"),
    "an empty alternative": ("a | \n", 1, "expected a bare module name"),
    "an alternative of nothing": ("a || b\n", 1, "expected a bare module name"),
    "only a dash": ("overlay\n-\n", 2, "expected a bare module name"),
    "an option": ("--all\n", 1, "expected a bare module name"),
    "a shell": ("$(reboot)\n", 1, "expected a bare module name"),
    "a byte order mark": ("\ufeffoverlay\n", 1, "expected a bare module name"),
    "a letter that is not ascii": ("övérlay\n", 1, "expected a bare module name"),
    "a key": ("net.ipv4.ip_forward = 1\n", 1, "expected a bare module name"),
    "a control character": ("over\x08lay\n", 1, "control character"),
}


@pytest.mark.parametrize("mistake", MODULE_MISTAKES)
def test_a_mistake_in_modules_load_conf_is_reported_with_its_line(mistake: str) -> None:
    content, line, words = MODULE_MISTAKES[mistake]
    error = profile_error(modules=content)
    assert (error.source, error.line) == ("templates/p/modules-load.conf.j2", line)
    assert words in error.problem


ENTRIES = st.builds(
    SysctlEntry, st.just(1), st.just("vm.x"), st.integers(0, 5).map(str), minimum=st.booleans(), optional=st.booleans()
)


@given(ENTRIES, ENTRIES)
def test_being_compatible_goes_both_ways_and_with_oneself(one: SysctlEntry, other: SysctlEntry) -> None:
    assert are_compatible(one, other) is are_compatible(other, one)
    assert are_compatible(one, one)


def test_an_entry_is_formatted_as_it_is_written() -> None:
    assert [format_entry(entry) for entry in rendered(sysctl="vm/x>=1\n-vm.y =  2\n").sysctl_entries()] == [
        "vm.x >= 1",
        "vm.y = 2",
    ]
