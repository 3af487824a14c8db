"""The marks of a profile against one node: what its files hold, and that a second look wants nothing new."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.kernel import at_least, format_ports, is_port_list
from tasks.core.ownfiles import RenderedFile
from tasks.core.plan.desired import Setting, choose_module, resolve
from tasks.core.plan.diff import diff
from tasks.core.profile.entries import ModuleEntry
from tasks.core.sanitize import UNSAFE_CHARACTERS
from tasks.node import orders as instructions
from tests.support.builders import MODULES, SYSCTL, Node, facts, rendered

RESERVED = "net.ipv4.ip_local_reserved_ports"


def body(file: RenderedFile) -> list[str]:
    """A file without its header."""
    return list(file.lines[2:])


@pytest.mark.parametrize(
    ("line", "values", "expected"),
    [
        ("vm.x = 1", {"vm.x": "9"}, "vm.x = 1"),
        ("vm/x=1", {}, "vm.x = 1"),
        ("vm.x >= 10", {"vm.x": "9"}, "vm.x = 10"),
        ("vm.x >= 10", {"vm.x": "11"}, "vm.x = 11"),
        ("vm.x >= 10", {"vm.x": "10"}, "vm.x = 10"),
        ("vm.x >= 10", {}, "vm.x = 10"),
        ("vm.x >= 10", {"vm.x": ""}, "vm.x = 10"),
        ("vm.x >= 1 80 3", {"vm.x": "2\t70\t3"}, "vm.x = 2 80 3"),
        ("vm.x >= 0x10", {"vm.x": "8"}, "vm.x = 16"),
        ("-vm.x = 1", {"vm.x": "0"}, "vm.x = 1"),
        ("-vm.x = 1", {}, "# vm.x: this node's kernel does not have it"),
        ("vm.x = 1", {}, "vm.x = 1"),
        (f"{RESERVED} >= 30000-32767", {RESERVED: "50000-50001"}, f"{RESERVED} = 30000-32767,50000-50001"),
        (f"{RESERVED} >= 10,11", {RESERVED: ""}, f"{RESERVED} = 10-11"),
        (f"{RESERVED} = 10,11", {RESERVED: "5"}, f"{RESERVED} = 10,11"),
        ("# a comment", {}, "# a comment"),
    ],
)
def test_a_line_becomes_plain_on_the_node(line: str, values: dict[str, str], expected: str) -> None:
    assert body(resolve([rendered(sysctl=line)], facts(values)).files[0]) == [expected]


def test_a_hidden_key_is_there_and_a_floor_over_it_is_the_floor() -> None:
    node = facts(hidden=["/proc/sys/vm/x"])
    state = resolve([rendered(sysctl="-vm.x >= 10")], node)
    assert (state.settings, state.skipped_keys) == ((Setting("vm.x", "10", "10"),), ())


@pytest.mark.parametrize(
    ("line", "node", "expected"),
    [
        ("overlay", {"loaded": ["overlay"]}, "overlay"),
        ("overlay", {"builtin": ["overlay"]}, "overlay"),
        ("br-netfilter", {"loadable": ["br_netfilter"]}, "br-netfilter"),
        ("new | old", {"loadable": ["old"]}, "old"),
        ("new | old", {"loadable": ["old", "new"]}, "new"),
        ("new | old", {"loaded": ["old"], "loadable": ["new"]}, "new"),
        ("new | old", {}, f"# new | old: not in this node's kernel {facts().kernel}"),
        ("-extra", {}, f"# extra: not in this node's kernel {facts().kernel}"),
    ],
)
def test_a_module_is_the_first_that_this_kernel_has(line: str, node: dict[str, Any], expected: str) -> None:
    assert body(resolve([rendered(modules=line)], facts(**node)).files[0]) == [expected]


def test_a_module_that_is_missing_is_skipped_only_if_it_is_optional() -> None:
    state = resolve([rendered(modules="a\n-b\nc | d\n-e | f\ng\ng\n")], facts(loaded=["g"]))
    assert (state.modules, state.skipped_modules, state.missing_modules) == (("g",), ("b", "e"), ("a", "c"))


def test_no_candidate_is_chosen_where_the_kernel_has_none() -> None:
    assert choose_module(ModuleEntry(1, ("a", "b"), False), facts()) is None


@pytest.mark.parametrize("module", ["br_netfilter", "br-netfilter"])
def test_an_optional_key_that_comes_with_a_module_of_the_profile_is_wanted_before_it_is_there(module: str) -> None:
    key = "net.bridge.bridge-nf-call-iptables"
    both = rendered(f"-{key} = 1", module)
    assert resolve([both], facts(loadable=["br_netfilter"])).settings == (Setting(key, "1", None),)
    assert resolve([both], facts()).skipped_keys == (key,)
    alone = rendered(f"-{key} = 1")
    assert resolve([alone], facts(loadable=["br_netfilter"])).skipped_keys == (key,)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("a.b = 1\nnet.ipv4.ip_forward = 1\n", ["net.ipv4.ip_forward = 1", "a.b = 1"]),
        (
            "# one\na.b = 1\n# two\nnet/ipv4/ip_forward = 1\nc.d = 2",
            ["# one", "net.ipv4.ip_forward = 1", "a.b = 1", "# two", "c.d = 2"],
        ),
        ("net.ipv4.ip_forward = 1\na.b = 1", ["net.ipv4.ip_forward = 1", "a.b = 1"]),
        ("# none\na.b = 1", ["# none", "a.b = 1"]),
        ("# nothing", ["# nothing"]),
    ],
)
def test_forwarding_comes_first_because_it_resets_others(text: str, order: list[str]) -> None:
    assert body(resolve([rendered(sysctl=text)], facts()).files[0]) == order


def test_each_part_of_each_profile_has_its_own_file() -> None:
    state = resolve([rendered("vm.x = 1", "a", name="one"), rendered("vm.y = 1", name="two")], facts(loaded=["a"]))
    assert [file.path for file in state.files] == [MODULES.format("one"), SYSCTL.format("one"), SYSCTL.format("two")]


@pytest.mark.parametrize(
    ("texts", "value", "minimum"),
    [
        (["vm.x >= 1", "vm.x >= 5"], "5", "5"),
        (["vm.x >= 5", "vm.x >= 1"], "5", "5"),
        (["vm.x >= 1", "vm.x = 5"], "5", None),
        (["vm.x = 5", "vm.x >= 1"], "5", None),
        (["vm.x = 5", "vm.x = 0x5"], "5", None),
    ],
)
def test_of_two_profiles_the_stronger_wish_stands_in_both_files(
    texts: list[str], value: str, minimum: str | None
) -> None:
    both = [rendered(sysctl=text, name=name) for text, name in zip(texts, "ab", strict=True)]
    state = resolve(both, facts({"vm.x": "0"}))
    assert state.settings == (Setting("vm.x", value, minimum),)
    assert [body(file) for file in state.files] == [[f"vm.x = {value}"]] * 2


@pytest.mark.parametrize("texts", [["-vm.x = 1", "vm.x = 1"], ["vm.x = 1", "-vm.x = 1"], ["-vm.x >= 1", "vm.x >= 1"]])
def test_a_key_that_one_profile_requires_is_not_optional(texts: list[str]) -> None:
    both = [rendered(sysctl=text, name=name) for text, name in zip(texts, "ab", strict=True)]
    assert resolve(both, facts()).skipped_keys == ()


@pytest.mark.parametrize(
    ("written", "running", "value"),
    [
        ("577680", "578048", "577680"),
        ("100", "578048", "578048"),
        ("600000", "500", "600000"),
        ("rubbish", "500", "577680"),
    ],
)
def test_the_number_in_our_file_stays_while_it_is_high_enough(written: str, running: str, value: str) -> None:
    """Kernels round some values up; following them would rewrite the file after each apply."""
    node = facts({"vm.x": running}, files={SYSCTL.format("p"): f"vm.x = {written}\n"})
    assert resolve([rendered(sysctl="vm.x >= 577680")], node).settings == (Setting("vm.x", value, "577680"),)


# Idempotence: a kernel that takes what is written leaves nothing to do.

NUMBERS = st.integers(-5, 2**40)
VALUE = st.lists(NUMBERS, min_size=1, max_size=3).map(lambda numbers: " ".join(map(str, numbers)))
PORTS = st.frozensets(st.integers(1, 65535), min_size=1, max_size=5).map(format_ports)
KEYS = ["vm.a", "vm.b", "net.ipv4.ip_forward", "net.ipv4.conf.eth0/1.c", RESERVED, "net.bridge.d"]


@st.composite
def templates(draw: st.DrawFn) -> str:
    lines = ["# drawn"]
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
        value = draw(PORTS if is_port_list(key) else VALUE)
        lines.append(f"{draw(st.sampled_from(['', '-']))}{key} {draw(st.sampled_from(['=', '>=']))} {value}")
    return "\n".join(lines)


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    present = draw(st.lists(st.sampled_from(KEYS[:-1]), unique=True))
    keys = {key: draw(PORTS if is_port_list(key) else VALUE) for key in present}
    loadable = draw(st.sets(st.sampled_from(["br_netfilter", "overlay"])))
    return Node(keys=keys, loadable=loadable, brings={"br_netfilter": {"net.bridge.d": "0"}})


@settings(max_examples=200, deadline=None)
@given(templates(), templates(), nodes())
def test_after_an_apply_the_same_files_are_wanted_and_nothing_is_to_do(one: str, other: str, node: Node) -> None:
    both = [rendered(one, "-br_netfilter\n-overlay | x\n", name="a")]
    if {line.lstrip("-").split()[0] for line in other.split("\n")[1:]}.isdisjoint(
        line.lstrip("-").split()[0] for line in one.split("\n")[1:]
    ):
        both.append(rendered(other, name="b"))
    state = resolve(both, node.facts)
    before = dict(node.keys)
    node.obey(instructions.apply_instructions(diff(state, node.facts)))
    again = resolve(both, node.facts)
    assert again.files == state.files
    assert instructions.apply_instructions(diff(again, node.facts)) == []
    for setting in state.settings:
        if setting.minimum is not None and setting.key in before:
            assert at_least(setting.key, node.keys[setting.key], setting.minimum)


@given(VALUE, VALUE)
def test_a_floor_never_lowers_what_the_node_has(running: str, minimum: str) -> None:
    node = Node(keys={"vm.a": running})
    state = resolve([rendered(sysctl=f"vm.a >= {minimum}")], node.facts)
    if len(running.split()) == len(minimum.split()):
        assert at_least("vm.a", state.settings[0].value, running)


def test_a_kernel_that_rounds_up_is_not_written_to_again() -> None:
    node = Node(keys={"vm.x": "100"}, turned={"vm.x": lambda text: str(-(-int(text) // 512) * 512)})
    both = [rendered(sysctl="vm.x >= 1000")]
    node.obey(instructions.apply_instructions(diff(resolve(both, node.facts), node.facts)))
    assert node.keys["vm.x"] == "1024"
    assert instructions.apply_instructions(diff(resolve(both, node.facts), node.facts)) == []


def test_setting_another_key_does_not_lower_one_that_rose_above_its_floor_meanwhile() -> None:
    """`>=` means never lower what the node has: also not by `sysctl -p` of a file with an older, lower number."""
    node = Node(keys={"vm.x": "100", "vm.y": "0"})
    both = [rendered(sysctl="vm.x >= 1000\nvm.y = 1\n")]
    node.obey(instructions.apply_instructions(diff(resolve(both, node.facts), node.facts)))
    node.keys |= {"vm.x": "5000", "vm.y": "0"}
    assert diff(resolve(both, node.facts), node.facts).keys == (("vm.y", "1"),)
    node.obey(instructions.apply_instructions(diff(resolve(both, node.facts), node.facts)))
    assert node.keys == {"vm.x": "5000", "vm.y": "1"}
    assert instructions.apply_instructions(diff(resolve(both, node.facts), node.facts)) == []


def test_no_escape_of_a_nodes_kernel_gets_into_the_file_that_is_written_or_shown() -> None:
    node = facts(kernel="6.1\x1b]0;x\x07" + "a" * 5000)
    (file,) = resolve([rendered(modules="-a | b\n")], node).files
    assert not UNSAFE_CHARACTERS.search("".join(file.lines))
    assert max(map(len, file.lines)) < 200
