"""Names, addresses and ports that SSH may be given."""

from __future__ import annotations

import pytest

from tasks.core.inventory.names import name_problem, port_number


@pytest.mark.parametrize("name", ["n1", "a.b-c_d", "10.0.0.1", "2001:db8::1", "fe80::1%eth0", "узел"])
def test_plain_names_have_no_problem(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\tb", "a\x00", "a$b", "a;b", "a/b", "a%b", "a\u200eb", "a\u2028b"])
def test_names_a_shell_or_a_terminal_would_misread_have_one(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize(
    ("text", "port"), [("1", 1), ("65535", 65535), ("0", None), ("65536", None), ("", None), ("a", None)]
)
def test_ports_are_plain_digits_in_range(text: str, port: int | None) -> None:
    assert port_number(text) == port
