"""One repair: what may be typed, what is set, and what is kept for the next boot."""

from __future__ import annotations

import pytest

from tasks.core.errors import RemoteError, UsageError
from tasks.core.facts import Facts
from tasks.core.ownfiles import with_header
from tasks.core.plan.desired import Setting
from tasks.core.plan.diff import diff
from tasks.core.plan.fix import MODULES_FILE, SYSCTL_FILE, fix_desired, parse_item
from tasks.node import orders as instructions
from tests.support.builders import MODULES, SYSCTL, facts


def kept(item: str, node: Facts) -> dict[str, list[str]]:
    """The repairs' files without their headers."""
    return {file.path: list(file.lines[2:]) for file in fix_desired(parse_item(item), node, persist=True).files}


def ours(*lines: str) -> str:
    return "\n".join(with_header("", "zz-fix", lines).lines) + "\n"


@pytest.mark.parametrize(
    ("item", "key", "value", "minimum"),
    [
        ("net.ipv4.ip_forward=1", "net.ipv4.ip_forward", "1", False),
        ("net/ipv4/ip_forward = 1", "net.ipv4.ip_forward", "1", False),
        ("vm.x>=10", "vm.x", "10", True),
        ("net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.ip_local_port_range", "1024 65535", False),
        ("kernel.core_pattern={{ x }}", "kernel.core_pattern", "{{ x }}", False),
    ],
)
def test_a_key_may_be_typed_as_in_a_profile(item: str, key: str, value: str, minimum: bool) -> None:
    (entry,) = parse_item(item).sysctl_entries()
    assert (entry.key, entry.value, entry.minimum) == (key, value, minimum)
    assert parse_item(item).modules is None


@pytest.mark.parametrize(
    ("item", "candidates"), [("br_netfilter", ("br_netfilter",)), ("a | b", ("a", "b")), ("-a", ("a",))]
)
def test_a_module_may_be_typed_as_in_a_profile(item: str, candidates: tuple[str, ...]) -> None:
    (entry,) = parse_item(item).module_entries()
    assert entry.candidates == candidates
    assert parse_item(item).sysctl is None


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("modprobe ip_vs", "write 'ip_vs'"),
        ("vm.x=", "expected `key = value`"),
        ("=1", "expected `key = value`"),
        ("vm.x='1'", "does not remove quotes"),
        ("vm.drop_caches=3", "acts when it is written"),
        ("net.ipv4.conf.*.rp_filter=1", "globs"),
        ("; reboot", "expected"),
        ("net.ipv4.ip_forward", "a key needs its value"),
        ("net/ipv4/ip_forward", "a key needs its value"),
        ("", "expected"),
        ("   ", "expected"),
        ("# vm.x=1", "expected"),
        ("a\nb", "expected"),
        ("vm.x=1\nvm.y=1", "expected"),
        ("vm.x=\udcff", "unexpected control character"),
    ],
)
def test_anything_else_is_a_usage_error(item: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_item(item)


def test_a_repair_without_keeping_writes_no_file_and_sets_the_key_directly() -> None:
    state = fix_desired(parse_item("vm.x=1"), facts({"vm.x": "0"}), persist=False)
    assert (state.files, state.settings) == ((), (Setting("vm.x", "1", None),))
    plan = diff(state, facts({"vm.x": "0"}))
    assert instructions.apply_instructions(plan) == ["set /proc/sys/vm/x 1"]


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({}, {SYSCTL_FILE: ["vm.x = 1"]}),
        ({SYSCTL_FILE: ours("vm.y = 5", "vm.x = 7")}, {SYSCTL_FILE: ["vm.y = 5", "vm.x = 1"]}),
        ({SYSCTL.format("a"): "vm.x = 1\n"}, {}),
        ({SYSCTL.format("a"): "vm.x = 0x1\n"}, {}),
        ({SYSCTL.format("a"): "vm.x = 1\n", SYSCTL.format("b"): "vm.x = 2\n"}, {SYSCTL_FILE: ["vm.x = 1"]}),
        ({SYSCTL.format("a"): "vm.x = 1\n", SYSCTL_FILE: ours("vm.x = 7")}, {SYSCTL_FILE: []}),
        ({"/etc/sysctl.d/10-other.conf": "vm.x = 1\n"}, {SYSCTL_FILE: ["vm.x = 1"]}),
        ({SYSCTL_FILE: "= rubbish\nand more\n"}, {SYSCTL_FILE: ["vm.x = 1"]}),
    ],
    ids=[
        "nothing was there",
        "earlier repairs stay",
        "a profile keeps it",
        "a profile keeps it in other words",
        "the last profile does not keep it",
        "a profile keeps it and an earlier repair does not",
        "someone else keeps it",
        "our file was scribbled on",
    ],
)
def test_a_key_is_kept_unless_our_own_profiles_keep_it(files: dict[str, str], lines: dict[str, list[str]]) -> None:
    assert kept("vm.x=1", facts({"vm.x": "0"}, files=files)) == lines


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({}, {MODULES_FILE: ["br_netfilter"]}),
        ({MODULES_FILE: ours("overlay")}, {MODULES_FILE: ["overlay", "br_netfilter"]}),
        ({MODULES_FILE: ours("br-netfilter")}, {MODULES_FILE: ["br-netfilter"]}),
        ({MODULES.format("kubernetes"): "br_netfilter\n"}, {}),
        ({"/usr/lib/modules-load.d/x.conf": "br-netfilter\n"}, {}),
        ({"/etc/modules-load.d/k8s.conf": "modprobe br_netfilter\n"}, {MODULES_FILE: ["br_netfilter"]}),
    ],
    ids=["nothing was there", "earlier repairs stay", "kept already", "a profile", "a vendor", "a pasted command"],
)
def test_a_module_is_kept_unless_some_file_loads_it(files: dict[str, str], lines: dict[str, list[str]]) -> None:
    assert kept("br_netfilter", facts(loadable=["br_netfilter"], files=files)) == lines


def test_a_repair_of_a_key_leaves_the_file_of_modules_alone_and_the_other_way_round() -> None:
    node = facts({"vm.x": "0"}, loadable=["a"], files={MODULES_FILE: ours("b"), SYSCTL_FILE: ours("vm.y = 1")})
    assert list(kept("vm.x=1", node)) == [SYSCTL_FILE]
    assert list(kept("a", node)) == [MODULES_FILE]


def test_the_repairs_sort_after_every_profile() -> None:
    assert max([SYSCTL_FILE, SYSCTL.format("kubernetes"), SYSCTL.format("yy"), SYSCTL.format("Zz")]) == SYSCTL_FILE


@pytest.mark.parametrize(
    ("item", "path", "text"), [("vm.x=1", SYSCTL_FILE, "vm.y = 1\x1b[2J\n"), ("a", MODULES_FILE, "b\x1b[2J\n")]
)
def test_a_file_of_fixes_with_control_characters_is_not_written_again(item: str, path: str, text: str) -> None:
    node = facts({"vm.x": "0"}, loadable=["a"], files={path: text})
    with pytest.raises(RemoteError, match="control characters"):
        fix_desired(parse_item(item), node, persist=True)
