"""Templates: what they mean, and that each mistake in one is told with the template's own line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ProfileError
from tasks.core.profile.entries import ModuleEntry, SysctlEntry, are_compatible, format_entry
from tasks.core.profile.profile import RenderedProfile, check_together, render
from tasks.core.profile.template import Source, check_names
from tasks.core.profile.variables import SAMPLE
from tests.support.builders import profile, rendered

SHIPPED = Path(__file__).resolve().parents[4] / "templates" / "kubernetes"


def sysctl_error(template: str, **variables: Any) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        rendered(sysctl=template, **variables)
    return caught.value


def modules_error(template: str, **variables: Any) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        rendered(modules=template, **variables)
    return caught.value


# What lines mean


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
def test_a_line_of_sysctl_conf_is_a_wish(line: str, entry: SysctlEntry) -> None:
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
def test_a_line_of_modules_load_conf_is_a_wish(line: str, entry: ModuleEntry) -> None:
    assert rendered(modules=line).modules == (entry,)


def test_comments_and_blank_lines_are_kept_as_they_are() -> None:
    found = rendered(sysctl="# one\n\n; zwei – drei\nvm.x = 1\n")
    assert found.sysctl == ("# one", "", "; zwei – drei", SysctlEntry(4, "vm.x", "1", False, False))


@pytest.mark.parametrize("template", [True, False], ids=["template", "plain"])
@pytest.mark.parametrize(
    ("content", "lines"),
    [("", 0), ("# a", 1), ("# a\n", 1), ("# a\n# b\n", 2), ("# a\n\n", 2), ("\n# a\n", 2)],
)
def test_a_file_has_as_many_lines_as_it_was_written_with(content: str, lines: int, template: bool) -> None:
    found = render(profile(content, template=template), {})
    assert len(found.sysctl or ()) == lines
    assert found.modules is None


def test_a_plain_file_is_taken_as_it_is_with_braces_and_all() -> None:
    found = render(profile("# {{ not_a_variable }} {% nor a block %}\nvm.x = 1\n", template=False), {})
    assert found.sysctl == ("# {{ not_a_variable }} {% nor a block %}", SysctlEntry(2, "vm.x", "1", False, False))


@pytest.mark.parametrize("template", [True, False], ids=["template", "plain"])
def test_windows_line_ends_do_no_harm(template: bool) -> None:
    found = render(profile("# a\r\nvm.x = 1\r\nvm.y = 2\r\n", template=template), {})
    assert found.sysctl == ("# a", SysctlEntry(2, "vm.x", "1", False, False), SysctlEntry(3, "vm.y", "2", False, False))


def test_the_same_wish_twice_is_allowed() -> None:
    assert len(rendered(sysctl="vm.x = 1\nvm/x = 1\n").sysctl_entries()) == 2


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(content: str) -> None:
    for plain in (profile(sysctl=content, template=False), profile(modules=content, template=False)):
        try:
            render(plain, {})
        except ProfileError as error:
            assert str(error).startswith("templates/p/")


# Mistakes, by their line and words

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
    "a step out of proc sys": ("../../etc/x = 1\n", 1, "is no sysctl key"),
    "an absolute path": ("/proc/sys/vm/x = 1\n", 1, "is no sysctl key"),
    "a byte order mark": ("\ufeffvm.x = 1\n", 1, "is no sysctl key"),
    "a nul byte": ("vm.x = 1\n\0\n", 0, "NUL"),
    "an escape": ("# \x1b[31mred\n", 1, "control character '\\x1b'"),
    "a bell in a value": ("vm.x = 1\x072\n", 1, "control character '\\x07'"),
    "a c1 control": ("# \x9b31m\n", 1, "control character '\\x9b'"),
    "a value that is not ascii": ("kernel.hostname = knöten\n", 1, "plain ASCII"),
    "a digit that is not ascii": ("vm.x = ١\n", 1, "plain ASCII"),
    "two values for one key": ("vm.x = 1\n# c\nvm.x = 2\n", 3, "another value in line 1"),
    "two values for one key in two spellings": ("vm.x = 1\nvm/x = 2\n", 2, "vm.x has another value in line 1"),
    "a value and a minimum": ("vm.x = 1\nvm.x >= 1\n", 2, "another value in line 1"),
    "the lock of modules": ("kernel.modules_disabled = 1\n", 1, "no setting that may be kept"),
    "a flush of routes": ("net/ipv4/route/flush = 1\n", 1, "no setting that may be kept"),
    "dropping caches": ("-vm.drop_caches = 3\n", 1, "no setting that may be kept"),
    "a floor of text": ("net.ipv4.tcp_congestion_control >= bbr\n", 1, "compares integers"),
    "a floor partly of text": ("vm.x >= 1 two\n", 1, "compares integers"),
    "a floor that the kernel reads otherwise": ("vm.x >= 1_000\n", 1, "compares integers"),
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
def test_a_mistake_in_sysctl_conf_is_told_with_its_line(mistake: str, plain: bool) -> None:
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
def test_a_mistake_in_modules_load_conf_is_told_with_its_line(mistake: str) -> None:
    content, line, words = MODULE_MISTAKES[mistake]
    error = modules_error(content)
    assert (error.source, error.line) == ("templates/p/modules-load.conf.j2", line)
    assert words in error.problem


TEMPLATE_MISTAKES: Mapping[str, tuple[str, int, str]] = {
    "an undefined variable": ("# c\n\nvm.x = {{ nope }}\n", 3, "undefined: 'nope'"),
    "an undefined attribute": ("# c\nvm.x = {{ facts.nope }}\n", 2, "undefined: "),
    "an undefined variable after a block": ("{% if true %}\n# c\n{% endif %}\nvm.x = {{ nope }}\n", 4, "'nope'"),
    "a block never ended": ("# c\n{% if true %}\nvm.x = 1\n", 2, "template syntax"),
    "an end without a block": ("vm.x = 1\n{% endif %}\n", 2, "template syntax"),
    "a broken expression": ("# c\nvm.x = {{ 1 + }}\n", 2, "template syntax"),
    "an unknown filter": ("# c\nvm.x = {{ 1 | nope }}\n", 2, "template syntax"),
    "a division by zero": ("# c\n# d\nvm.x = {{ 1 // 0 }}\n", 3, "ZeroDivisionError"),
    "a wrong type": ("vm.x = {{ 'a' * 'b' }}\n", 1, "TypeError"),
    "a way out of the sandbox": ("\nvm.x = {{ ''.__class__.__mro__ }}\n", 2, "SecurityError"),
    "another file": ("{% include '/etc/passwd' %}\n", 1, ""),
    "a call that changes": ("vm.x = {{ [1].append(2) }}\n", 1, "SecurityError"),
}


@pytest.mark.parametrize("mistake", TEMPLATE_MISTAKES)
def test_a_template_that_does_not_render_is_told_with_its_line(mistake: str) -> None:
    content, line, words = TEMPLATE_MISTAKES[mistake]
    error = sysctl_error(content, facts=dict(SAMPLE))
    assert error.line == line
    assert words in error.problem


BAD = "vm.x\n"
WHERE: Mapping[str, tuple[str, int]] = {
    "after a set": (f"{{% set a = 1 %}}\n{BAD}", 2),
    "after two sets": (f"{{% set a = 1 %}}\n{{% set b = 1 %}}\n# c\n{BAD}", 4),
    "after a comment of the template": (f"{{# a\nb #}}\n{BAD}", 3),
    "after an inline comment": (f"# a {{# b #}} c\n{BAD}", 2),
    "in a branch taken": (f"{{% if true %}}\n{BAD}{{% endif %}}\n", 2),
    "in an else": (f"{{% if false %}}\n# a\n{{% else %}}\n# b\n{BAD}{{% endif %}}\n", 5),
    "after a branch not taken": (f"{{% if false %}}\n# a\n# b\n{{% endif %}}\n{BAD}", 5),
    "in a loop": (f"{{% for n in [1, 2] %}}\n# {{{{ n }}}}\n{BAD}{{% endfor %}}\n", 3),
    "after a loop": (f"{{% for n in range(9) %}}\n# {{{{ n }}}}\n{{% endfor %}}\n{BAD}", 4),
    "after an empty loop": (f"{{% for n in [] %}}\n# {{{{ n }}}}\n{{% endfor %}}\n{BAD}", 4),
    "after an expression alone": (f"{{{{ '# a' }}}}\n{BAD}", 2),
    "as an expression alone": ("# a\n{{ 'vm.x' }}\n", 2),
    "after an expression that gives two lines": (f"{{{{ '# a\\n# b' }}}}\n{BAD}", 2),
    "after a block over three lines": (f"{{%\n set a = 1\n%}}\n{BAD}", 4),
    "after a raw block": (f"{{% raw %}}\n# {{{{ a }}}}\n{{% endraw %}}\n{BAD}", 4),
    "after blanks were cut": (f"# a\n\n{{%- if true %}}\n\n# b\n{{% endif %}}\n{BAD}", 7),
    "after blanks were cut behind": (f"{{% if true -%}}\n\n\n# b\n{{% endif %}}\n{BAD}", 6),
    "indented in a block": ("{% if true %}\n  {% if true %}\n    vm.x\n  {% endif %}\n{% endif %}\n", 3),
    "after an inline if": (f"# {{% if true %}}a{{% endif %}} b\n{BAD}", 2),
    "with windows line ends": ("# a\r\n{% if true %}\r\n# b\r\n{% endif %}\r\nvm.x\r\n", 5),
    "in the last line without an end": ("{# a #}\n\nvm.x", 3),
}


@pytest.mark.parametrize("place", WHERE)
def test_a_line_is_counted_in_the_template_not_in_what_it_rendered(place: str) -> None:
    content, line = WHERE[place]
    error = sysctl_error(content)
    assert (error.line, "vm.x" in error.problem) == (line, True)


def test_both_lines_of_a_contradiction_are_the_templates() -> None:
    error = sysctl_error("{% set a = 1 %}\n{# b #}\nvm.x = 1\n{% if true %}\nvm.x = 2\n{% endif %}\n")
    assert (error.line, error.problem) == (5, "vm.x has another value in line 3: keep one")


def test_wishes_know_their_line_too() -> None:
    found = rendered(sysctl="{% set a = 1 %}\n{% for n in [1, 2] %}\nvm.x{{ n }} = 1\n{% endfor %}\nvm.y = 2\n")
    assert [(entry.key, entry.line) for entry in found.sysctl_entries()] == [("vm.x1", 3), ("vm.x2", 3), ("vm.y", 5)]


def test_a_variable_cannot_smuggle_in_marks_of_lines() -> None:
    error = sysctl_error("# c\nvm.x = {{ value }}\n", value="\0007\0 \0")
    assert (error.line, "control character" in error.problem) == (7, True) or error.line == 2


# Names


@pytest.mark.parametrize(
    ("content", "line", "name"),
    [
        ("# c\nvm.x = {{ nope }}\n", 2, "nope"),
        ("{% if false %}\n# c\nvm.x = {{ nope }}\n{% endif %}\n", 3, "nope"),
        ("{% if kube_proxy_mod == 'ipvs' %}\n{% endif %}\n", 1, "kube_proxy_mod"),
        ("{% for n in nodez %}\n{% endfor %}\n", 1, "nodez"),
        ("{% if true %}\n{% else %}\n\n# {{ other | int }}\n{% endif %}\n", 4, "other"),
        ("{# {{ fine }} #}\n{{ one }}\n{{ two }}\n", 2, "one"),
    ],
)
def test_a_name_that_nobody_defines_is_found_in_branches_not_taken_too(content: str, line: int, name: str) -> None:
    with pytest.raises(ProfileError) as caught:
        check_names(Source("t/sysctl.conf.j2", content), {"facts", "kube_proxy_mode"})
    assert (caught.value.line, f"{name!r}" in caught.value.problem) == (line, True)


@pytest.mark.parametrize(
    "content",
    [
        "vm.x = {{ facts.cpus }}\n",
        "{% if mode is defined %}\n# {{ mode }}\n{% endif %}\n",
        "{% if mode is not defined %}\n{% endif %}\n",
        "# {{ mode | default('ipvs') }}\n",
        "# {{ mode | d(1) }}\n",
        "{% set mine = 1 %}\n# {{ mine }}\n",
        "{% for n in range(3) %}\n# {{ n }} {{ loop.index }}\n{% endfor %}\n",
        "{% macro line(key) %}\n{{ key }} = 1\n{% endmacro %}\n{{ line('vm.x') }}\n",
        "# no names at all\n",
    ],
)
def test_known_guarded_and_own_names_are_fine(content: str) -> None:
    check_names(Source("t", content), {"facts"})


def test_the_names_of_a_plain_file_are_nobodys_business() -> None:
    check_names(Source("t", "{{ nope }}", template=False), ())


def test_a_template_that_is_none_is_told_when_its_names_are_asked_for() -> None:
    with pytest.raises(ProfileError, match=r"t:2: template syntax"):
        check_names(Source("t", "# c\n{% if %}\n"), ())


# Profiles chosen together


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("vm.x = 1", "vm.x = 1"),
        ("vm.x = 16", "vm.x = 0x10"),
        ("vm.x >= 1", "vm.x >= 2"),
        ("vm.x = 3", "vm.x >= 2"),
        ("vm.x >= 2", "vm.x = 3"),
        ("vm.x = 1", "vm.y = 2"),
        ("net.ipv4.ip_local_reserved_ports = 1-3", "net.ipv4.ip_local_reserved_ports >= 2"),
    ],
)
def test_profiles_that_agree_can_be_chosen_together(one: str, other: str) -> None:
    check_together([rendered(sysctl=one, name="a"), rendered(sysctl=other, name="b")])


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("vm.x = 1", "# c\nvm.x = 2", "profile a wants vm.x = 1 (line 1), profile b wants vm.x = 2"),
        ("vm.x >= 3", "# c\nvm.x = 2", "profile a wants vm.x >= 3 (line 1), profile b wants vm.x = 2"),
        ("vm.x = 2", "# c\nvm/x >= 3", "profile a wants vm.x = 2 (line 1), profile b wants vm.x >= 3"),
    ],
)
def test_profiles_that_contradict_each_other_are_named_both(one: str, other: str, words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        check_together([rendered(sysctl=one, name="a"), rendered(sysctl=other, name="b")])
    assert (caught.value.source, caught.value.line) == ("templates/b", 2)
    assert words in caught.value.problem


WISHES = st.builds(
    SysctlEntry, st.just(1), st.just("vm.x"), st.integers(0, 5).map(str), minimum=st.booleans(), optional=st.booleans()
)


@given(WISHES, WISHES)
def test_being_compatible_goes_both_ways_and_with_oneself(one: SysctlEntry, other: SysctlEntry) -> None:
    assert are_compatible(one, other) is are_compatible(other, one)
    assert are_compatible(one, one)


def test_a_wish_is_shown_as_it_is_written() -> None:
    assert [format_entry(entry) for entry in rendered(sysctl="vm/x>=1\n-vm.y =  2\n").sysctl_entries()] == [
        "vm.x >= 1",
        "vm.y = 2",
    ]


# The profile that is shipped

RECIPE_MODULES = {"overlay", "br_netfilter", "nf_conntrack_ipv4"} | {
    f"ip_vs{scheduler}" for scheduler in ("", "_rr", "_wrr", "_wlc", "_sh")
}
RECIPE = {
    "kernel.sysrq": "0",
    "kernel.core_uses_pid": "1",
    "kernel.msgmnb": "65536",
    "kernel.msgmax": "65536",
    "kernel.shmmax": "68719476736",
    "kernel.shmall": "4294967296",
    "fs.file-max": "1000000",
    "vm.max_map_count": "500000",
    "net.core.netdev_max_backlog": "32768",
    "net.core.somaxconn": "32768",
    "net.core.wmem_default": "8388608",
    "net.core.rmem_default": "8388608",
    "net.core.wmem_max": "16777216",
    "net.core.rmem_max": "16777216",
    "net.netfilter.nf_conntrack_max": "2310720",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
    "net.ipv4.ip_forward": "1",
    "net.ipv4.tcp_fin_timeout": "30",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.tcp_max_syn_backlog": "1024",
    "net.ipv4.tcp_synack_retries": "2",
    "net.ipv4.tcp_max_tw_buckets": "3000",
    "net.ipv4.tcp_mem": "94500000 915000000 927000000",
    "net.ipv4.tcp_max_orphans": "3276800",
    "net.ipv4.tcp_keepalive_time": "1200",
    "net.ipv4.tcp_keepalive_intvl": "30",
    "net.ipv4.tcp_keepalive_probes": "3",
    "net.ipv4.ip_local_port_range": "1024 65535",
    "net.ipv4.conf.lo.arp_announce": "2",
    "net.ipv4.conf.all.arp_announce": "2",
}
OURS = {
    "net.netfilter.nf_conntrack_buckets": "577680",
    "net.ipv4.ip_local_reserved_ports": "2379-2380,6443,10248-10250,10256-10257,10259,30000-32767",
}
# Where the recipe's number is below what modern kernels or systemd give by themselves.
ONLY_EVER_RAISED = {
    "kernel.shmmax",
    "kernel.shmall",
    "fs.file-max",
    "vm.max_map_count",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    *OURS,
}


def shipped(**variables: Any) -> RenderedProfile:
    texts = [(SHIPPED / f"{part}.conf.j2").read_text(encoding="utf-8") for part in ("sysctl", "modules-load")]
    return rendered(*texts, name="kubernetes", **{"facts": dict(SAMPLE), **variables})


def test_the_shipped_profile_has_the_recipes_31_keys_and_two_that_make_them_safe() -> None:
    found = {entry.key: entry.value for entry in shipped().sysctl_entries()}
    assert len(RECIPE) == 31
    assert found == RECIPE | OURS


def test_the_shipped_profile_never_lowers_what_kernels_give_by_themselves() -> None:
    assert {entry.key for entry in shipped().sysctl_entries() if entry.minimum} == ONLY_EVER_RAISED


def test_only_sysrq_may_be_missing_from_a_kernel() -> None:
    assert [entry.key for entry in shipped().sysctl_entries() if entry.optional] == ["kernel.sysrq"]


def test_ports_are_reserved_before_the_range_that_covers_them() -> None:
    keys = [entry.key for entry in shipped().sysctl_entries()]
    assert keys.index("net.ipv4.ip_local_reserved_ports") < keys.index("net.ipv4.ip_local_port_range")
    assert keys[0] == "net.ipv4.ip_forward"


@pytest.mark.parametrize("variable", ["kube_apiserver_node_port_range", "NODE_PORT_RANGE"])
def test_the_reserved_ports_follow_the_inventorys_node_ports(variable: str) -> None:
    found = {entry.key: entry.value for entry in shipped(**{variable: "20000-22767"}).sysctl_entries()}
    assert found["net.ipv4.ip_local_reserved_ports"].endswith(",20000-22767")


@pytest.mark.parametrize("variables", [{}, {"kube_proxy_mode": "ipvs"}], ids=["by default", "in ipvs mode"])
def test_the_shipped_profile_has_the_recipes_8_modules(variables: Mapping[str, object]) -> None:
    found = shipped(**variables).module_entries()
    assert len(RECIPE_MODULES) == len(found) == 8
    assert {entry.candidates[-1] for entry in found} == RECIPE_MODULES
    assert [entry.candidates for entry in found if len(entry.candidates) > 1] == [("nf_conntrack", "nf_conntrack_ipv4")]
    assert not any(entry.optional for entry in found)


@pytest.mark.parametrize("mode", ["iptables", "nftables", "none"])
def test_the_modules_of_ipvs_are_for_its_mode_only(mode: str) -> None:
    found = [entry.candidates[0] for entry in shipped(kube_proxy_mode=mode).module_entries()]
    assert found == ["overlay", "br_netfilter", "nf_conntrack"]


def test_each_line_of_the_shipped_profile_stands_under_a_comment_that_explains_it() -> None:
    """A comment may speak for a run of lines without a blank between them."""
    for part in (shipped().sysctl, shipped().modules):
        explained = False
        for line in part or ():
            explained = line.startswith("#") or (explained and line != "") if isinstance(line, str) else explained
            assert isinstance(line, str) or explained, line


@pytest.mark.parametrize("part", ["sysctl.conf.j2", "modules-load.conf.j2"])
def test_the_shipped_templates_use_only_names_that_are_known(part: str) -> None:
    check_names(Source(part, (SHIPPED / part).read_text(encoding="utf-8")), {"facts"})


def test_a_block_at_the_end_of_a_line_does_not_join_it_with_the_next() -> None:
    """jinja2's trim_blocks would: `vm.x = 1vm.y = 2`."""
    found = rendered(
        "vm.x = {% if true %}1{% endif %}\nvm.y = 2\n{% for n in [1, 2] %}\nvm.z{{ n }} = 3\n{% endfor %}\n"
    )
    assert [(entry.key, entry.value, entry.line) for entry in found.sysctl_entries()] == [
        ("vm.x", "1", 1),
        ("vm.y", "2", 2),
        ("vm.z1", "3", 4),
        ("vm.z2", "3", 4),
    ]
