"""The INI grammar, the values of its variables, and its errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import InventoryError
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.inventory import Inventory


def inventory(text: str) -> Inventory:
    return parse_ini(text, "hosts.ini")


def variable(text: str, name: str, host: str = "n1") -> object:
    return inventory(text).variables(host).get(name)


def test_a_byte_order_mark_is_not_part_of_the_first_line() -> None:
    assert inventory("\ufeff[web]\nn1\n").host("n1").groups == ("web",)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("True", True),
        ("true", "true"),
        ("yes", "yes"),
        ("010", "010"),
        ("0x10", 16),
        ("None", None),
        ("", ""),
        ("[1, 'a']", [1, "a"]),
        ("(1, 2)", [1, 2]),
        ("{'a': {1}}", {"a": [1]}),
        ("b'raw'", "raw"),
        ("1+2j", "(1+2j)"),
        ("...", "..."),
        ('"30000-32767"', "30000-32767"),
        ("two words", "two words"),
        ("a#b", "a#b"),
        ("a # b", "a # b"),
        ("7 # seven", 7),
        ('"x" # said', "x"),
        (r"C:\dir", r"C:\dir"),
        (r'"a\tb"', "a\tb"),
        ("{{ other }}", "{{ other }}"),
        ("[" * 500, "[" * 500),
    ],
)
def test_values_of_group_variables_are_python_literals_or_text(text: str, value: object) -> None:
    found = variable(f"[web]\nn1\n[web:vars]\nv = {text}\n", "v")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("v='a b'", "a b"),
        ('v="1"', 1),
        ("v=\"'1'\"", "1"),
        (r"v=a\ b", "a b"),
        ("v=a#b", "a"),
        ("v='a # b'", "a # b"),
        ("v=a=b", "a=b"),
        ("v=''", ""),
        ("v=1 v=2", 2),
    ],
)
def test_values_on_host_lines_are_split_as_a_shell_would_first(text: str, value: object) -> None:
    assert variable(f"n1 {text}\n", "v") == value


ERRORS = [
    ("n1\n[web\n", 2, "closing ']'"),
    ("[web]\nn1\n[a b]\n", 3, "expected a section like [group]"),
    ("[web:hosts:x]\n", 1, "expected a section like [group]"),
    ("[web:things]\n", 1, "kind children or vars, got [web:things]"),
    ("[web:vars]\nx=1\n", 1, "expected group 'web' to be declared as [web]"),
    ("[p:children]\n\nweb\n", 3, "[p:children] includes it"),
    ("[a:children]\nb\n[b:children]\na\n", 4, "without a loop"),
    ("[a:children]\na\n", 2, "without a loop"),
    ("[a:children]\nall\n", 2, "without a loop"),
    ("[a]\n[p:children]\na b\n", 3, "expected the name of one group, got 'a b'"),
    ("[a]\n[a:vars]\nnovalue\n", 3, "expected key=value, got 'novalue'"),
    ("n1 novalue\n", 1, "expected key=value after the host name, got 'novalue'"),
    ("# one\nn1 a='open\n", 2, "got an open quote"),
    ("n1 a\\\n", 1, "open quote"),
    ("n0\nn1:\n", 2, "expected a port after the colon"),
    ("n1:70000\n", 1, "host n1: expected a port from 1 to 65535, got 70000"),
    ("n1:0\n", 1, "expected a port from 1 to 65535, got 0"),
    ("n1\n---\n", 2, "'---'"),
    ("n[3:1]\n", 1, "counts upwards, got [3:1]"),
    ("n[c:a]\n", 1, "counts upwards"),
    ("n[01:3]\n", 1, "of equal length, got [01:3]"),
    ("n[1:3:0]\n", 1, "step of 1 or more"),
    ("n[1:3:-1]\n", 1, "numbers or of single letters, got [1:3:-1]"),
    ("n[1:c]\n", 1, "numbers or of single letters"),
    ("n[ab:cd]\n", 1, "numbers or of single letters"),
    ("n[1]\n", 1, "expected a range [begin:end]"),
    ("n[1:]\n", 1, "expected a range [begin:end]"),
    ("n[1:999999999]\n", 1, "at most 65536 hosts"),
    ("n[1:999]x[1:999]\n", 1, "at most 65536 hosts"),
    ("''\n", 1, "expected a host name"),
    ("[a]\n[a:vars]\nansible_group_priority=high\n", 3, "expected a whole number, got 'high'"),
    ("[a]\n[a:vars]\nv={[1]}\n", 3, "v: expected a text or a literal"),
]


@pytest.mark.parametrize(("text", "line", "problem"), ERRORS)
def test_an_error_names_the_file_the_line_and_what_was_expected(text: str, line: int, problem: str) -> None:
    with pytest.raises(InventoryError) as caught:
        inventory(text)
    assert (caught.value.source, caught.value.line) == ("hosts.ini", line)
    assert problem in caught.value.problem


def test_an_error_does_not_show_a_line_with_a_secret_in_it() -> None:
    with pytest.raises(InventoryError) as caught:
        inventory("n1 ansible_password=correct horse battery\n")
    assert "horse" not in str(caught.value)


LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.text(alphabet="ab1[]:=,;# '\"\\\t-.{}", max_size=20),
        st.sampled_from(
            ["[a]", "[b]", "[a:children]", "[b:children]", "[a:vars]", "a", "b", "n[1:3]", "n1 x=1", "x=1"]
        ),
    ),
    max_size=12,
)


@given(LINES)
def test_whatever_is_read_the_only_error_is_an_inventory_error(lines: list[str]) -> None:
    try:
        found = inventory("\n".join(lines))
    except InventoryError:
        return
    for name in found.names():
        try:
            assert found.host(name).name == name
        except InventoryError as error:
            assert error.problem


@given(st.text(max_size=200))
def test_no_value_can_break_the_parser(text: str) -> None:
    value = " ".join(text.split())
    try:
        found = inventory(f"[web]\nn1\n[web:vars]\nv={value}\n")
    except InventoryError:
        return
    assert "v" in found.variables("n1")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.integers() | st.booleans() | st.none()))
def test_written_literals_come_back_as_they_were(values: dict[str, object]) -> None:
    text = "n1\n[ungrouped:vars]\n" + "".join(f"v_{name}={value!r}\n" for name, value in values.items())
    assert inventory(text).variables("n1") == {f"v_{name}": value for name, value in values.items()}
