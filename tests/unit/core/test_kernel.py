"""Names and values of keys: one spelling each, and when two values are the same for the kernel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.kernel import (
    at_least,
    format_ports,
    is_final,
    is_key,
    is_port_list,
    key_name,
    key_path,
    parse_integer,
    parse_ports,
    providing_module,
    raise_to,
    same_module,
    same_value,
)

RESERVED = "net.ipv4.ip_local_reserved_ports"
NUMBERS = st.integers(min_value=-(2**63), max_value=2**64 - 1)
PORTS = st.frozensets(st.integers(0, 65535), max_size=40)
WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=8).filter(lambda word: word[0] != "-")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
        ("net/ipv4/conf/eth0.100/rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
        ("net.bridge.bridge-nf-call-iptables", "net/bridge/bridge-nf-call-iptables"),
        ("hostname", "hostname"),
    ],
)
def test_the_first_separator_of_a_key_decides_what_the_others_mean(key: str, path: str) -> None:
    assert key_path(key) == path


@given(st.lists(WORD, min_size=2, max_size=5), WORD)
def test_a_path_comes_back_from_its_dotted_name(steps: list[str], tail: str) -> None:
    path = "/".join([*steps, f"eth0.{tail}", "rp_filter"])
    assert key_path(key_name(path)) == path


@given(st.lists(WORD, min_size=1, max_size=6))
def test_both_spellings_of_a_key_have_one_name(steps: list[str]) -> None:
    dotted, slashed = ".".join(steps), "/".join(steps)
    assert key_name(key_path(dotted)) == key_name(key_path(slashed)) == dotted


@pytest.mark.parametrize(
    "text",
    [
        "net.ipv4.conf.*.rp_filter",
        "net.ipv4.conf.eth?.rp_filter",
        "net.ipv4.conf.[ab].rp_filter",
        "net/../../etc/passwd",
        "..",
        "net..ipv4",
        ".net",
        "/proc/sys/net",
        "net.ipv4.",
        "net/",
        "",
        "-net.ipv4",
        "net ipv4",
        "net.ipv4\n",
        "nét.ipv4",
        "net.ipv4;reboot",
        "$(reboot)",
        "a'b",
    ],
)
def test_a_text_that_is_no_plain_name_below_proc_sys_is_no_key(text: str) -> None:
    assert not is_key(text)


@pytest.mark.parametrize(
    "text", ["net.ipv4.ip_forward", "net.ipv4.conf.eth0:1.rp_filter", "net.ipv4.conf.veth@if2.forwarding", "a", "vm/x"]
)
def test_plain_names_are_keys(text: str) -> None:
    assert is_key(text)


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        ("net.bridge.bridge-nf-call-iptables", "br_netfilter"),
        ("net.netfilter.nf_conntrack_max", "nf_conntrack"),
        ("net.nf_conntrack_max", "nf_conntrack"),
        ("net.ipv4.vs.conntrack", "ip_vs"),
        ("net.ipv6.conf.all.forwarding", "ipv6"),
        ("net.ipv4.ip_forward", None),
        ("net.bridgeport.x", None),
    ],
)
def test_a_key_knows_the_module_that_brings_it(key: str, owner: str | None) -> None:
    assert providing_module(key) == owner


def test_dashes_and_underscores_are_the_same_in_a_modules_name() -> None:
    assert same_module("br-netfilter", "br_netfilter")
    assert same_module("a-b_c", "a_b-c")
    assert not same_module("ip_vs", "ip_vs_rr")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("10", 10),
        ("-1", -1),
        ("0x10", 16),
        ("0X1f", 31),
        ("010", 8),
        ("18446744073692774399", 18446744073692774399),
        ("08", None),
        ("+3", None),
        ("0b1", None),
        ("0o7", None),
        ("1_000", None),
        ("1.5", None),
        ("", None),
        ("ten", None),
        ("١", None),
        ("-", None),
        ("1 2", None),
    ],
)
def test_integers_are_read_as_the_kernel_reads_them(text: str, number: int | None) -> None:
    """All of these were tried on a real /proc/sys (6.18): the ones that are None are refused with EINVAL."""
    assert parse_integer(text) == number


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", set()),
        ("10250", {10250}),
        ("1-3,5", {1, 2, 3, 5}),
        ("5,1-3,2", {1, 2, 3, 5}),
        ("65535", {65535}),
    ],
)
def test_a_list_of_ports_is_a_set(text: str, found: set[int]) -> None:
    assert parse_ports(text) == frozenset(found)


@pytest.mark.parametrize("text", ["65536", "20-10", "10,,20", "10 20", "10, 20", "-5", "1-2-3", "ssh", "1;2", "¹", "٣"])
def test_what_the_kernel_would_refuse_is_no_list_of_ports(text: str) -> None:
    """Tried on a real net.ipv4.ip_local_reserved_ports: all are EINVAL, blanks after a comma too."""
    assert parse_ports(text) is None


@given(PORTS)
def test_ports_and_their_text_are_each_others_inverse(numbers: frozenset[int]) -> None:
    assert parse_ports(format_ports(numbers)) == numbers


@pytest.mark.parametrize(
    ("key", "one", "other", "same"),
    [
        ("a.b", "1", "1", True),
        ("a.b", "0x10", "16", True),
        ("a.b", "010", "8", True),
        ("a.b", "1024\t65535", "1024 65535", True),
        ("a.b", " 1 ", "1", True),
        ("a.b", "1 2", "1 2 3", False),
        ("a.b", "1", "true", False),
        ("a.b", "cubic", "cubic", True),
        ("a.b", "cubic", "Cubic", False),
        ("a.b", "", "0", False),
        (RESERVED, "10250,30000-30001,30002-32767", "10250,30000-32767", True),
        (RESERVED, "10250", "10251", False),
        (RESERVED, "", "", True),
    ],
)
def test_values_are_compared_as_the_kernel_holds_them(key: str, one: str, other: str, same: bool) -> None:
    assert same_value(key, one, other) is same
    assert same_value(key, other, one) is same


@given(st.lists(st.one_of(NUMBERS.map(str), WORD), max_size=4).map(" ".join), st.sampled_from(["a.b", RESERVED]))
def test_every_value_is_the_same_as_itself(text: str, key: str) -> None:
    assert same_value(key, text, text)


@given(st.one_of(st.text(max_size=30), st.text("0123456789-xXabf", max_size=30), st.integers(0, 9).map("1".__mul__)))
def test_any_value_of_a_node_is_an_integer_or_none(text: str) -> None:
    number = parse_integer(text)
    assert number is None or -(2**80) < number < 2**80


@given(st.sampled_from("19af"), st.sampled_from(["", "-", "0x", "0"]), st.integers(0, 6000))
def test_a_number_of_any_length_can_be_compared(digit: str, sign: str, length: int) -> None:
    """int() of more than 4300 digits is a ValueError: one node's value must not be that."""
    text = sign + digit * length
    assert same_value("a.b", text, text)
    assert isinstance(at_least("a.b", text, "1"), bool)
    assert raise_to("a.b", text, "1")


@given(st.text("0123456789 -x,", max_size=12), st.text("0123456789 -x,", max_size=12), st.booleans())
def test_being_the_same_goes_both_ways(one: str, other: str, of_ports: bool) -> None:
    key = RESERVED if of_ports else "a.b"
    assert same_value(key, one, other) is same_value(key, other, one)


@pytest.mark.parametrize(
    ("key", "value", "minimum", "enough"),
    [
        ("a.b", "10", "10", True),
        ("a.b", "11", "10", True),
        ("a.b", "9", "10", False),
        ("a.b", "9", "0x8", True),
        ("a.b", "2 9", "1 10", False),
        ("a.b", "2 10 3", "1 10 3", True),
        ("a.b", "5", "1 1", False),
        ("a.b", "5 5", "1", False),
        ("a.b", "many", "1", False),
        ("a.b", "", "1", False),
        (RESERVED, "1-10", "5-6", True),
        (RESERVED, "1-5", "5-6", False),
        (RESERVED, "", "5", False),
        (RESERVED, "rubbish", "5", False),
    ],
)
def test_a_floor_is_compared_integer_by_integer_and_ports_as_sets(
    key: str, value: str, minimum: str, enough: bool
) -> None:
    assert at_least(key, value, minimum) is enough


@pytest.mark.parametrize(
    ("key", "value", "minimum", "lifted"),
    [
        ("a.b", "5", "10", "10"),
        ("a.b", "18446744073692774399", "68719476736", "18446744073692774399"),
        ("a.b", "1 90 3", "2 80 3", "2 90 3"),
        ("a.b", "rubbish", "10", "10"),
        ("a.b", "1 2", "10", "10"),
        (RESERVED, "50000-50001", "30000-32767", "30000-32767,50000-50001"),
        (RESERVED, "", "10,11", "10-11"),
    ],
)
def test_a_value_is_lifted_to_its_floor_and_never_lowered(key: str, value: str, minimum: str, lifted: str) -> None:
    assert raise_to(key, value, minimum) == lifted


VALUES = st.lists(NUMBERS, min_size=1, max_size=3)


@given(VALUES, VALUES)
def test_what_was_raised_is_at_least_the_floor_and_the_old_value(value: list[int], minimum: list[int]) -> None:
    old, wanted = " ".join(map(str, value)), " ".join(map(str, minimum))
    lifted = raise_to("a.b", old, wanted)
    assert at_least("a.b", lifted, wanted)
    assert len(value) != len(minimum) or at_least("a.b", lifted, old)
    assert raise_to("a.b", lifted, wanted) == lifted


@given(PORTS, PORTS)
def test_raised_ports_hold_both_sets(value: frozenset[int], minimum: frozenset[int]) -> None:
    lifted = raise_to(RESERVED, format_ports(value), format_ports(minimum))
    assert parse_ports(lifted) == value | minimum
    assert at_least(RESERVED, lifted, format_ports(minimum))


def test_only_the_list_of_reserved_ports_is_a_list_of_ports() -> None:
    assert is_port_list(RESERVED)
    assert not is_port_list("net.ipv4.ip_local_port_range")


@pytest.mark.parametrize(
    ("key", "value", "other", "final"),
    [
        ("kernel.yama.ptrace_scope", "3", "1", True),
        ("kernel.yama.ptrace_scope", "1", "3", False),
        ("kernel.yama.ptrace_scope", "2", "0", False),
        ("kernel.yama.ptrace_scope", "3", "0x3", False),
        ("kernel.kexec_load_disabled", "1", "0", True),
        ("kernel.unprivileged_bpf_disabled", "1", "2", True),
        ("kernel.unprivileged_bpf_disabled", "2", "0", False),
        ("kernel.modules_disabled", "1", "0", True),
        ("kernel.kexec_load_limit_panic", "3", "5", True),
        ("kernel.kexec_load_limit_panic", "3", "-1", True),
        ("kernel.kexec_load_limit_panic", "3", "2", False),
        ("kernel.kexec_load_limit_reboot", "-1", "4", False),
        ("kernel.tainted", "5", "1", True),
        ("kernel.tainted", "1", "5", False),
        ("kernel.tainted", "x", "1", False),
        ("vm.swappiness", "1", "0", False),
    ],
)
def test_some_values_stay_until_a_reboot(key: str, value: str, other: str, final: bool) -> None:
    assert is_final(key, value, other) is final
