"""Typed values of a host's variables, and the errors for all others."""

from __future__ import annotations

import pytest

from tasks.core.errors import VariableError
from tasks.core.inventory.connection import Connection, resolve_connection
from tasks.core.inventory.inventory import protect_secret
from tasks.core.inventory.variables import UnsafeText, holds_expression
from tasks.core.redact import Secret


def read(**variables: object) -> Connection:
    return resolve_connection("n1", variables)


@pytest.mark.parametrize(("value", "port"), [(22, 22), ("2222", 2222), ("1", 1), (65535, 65535), (" 22 ", 22)])
def test_a_port_is_a_number_or_its_text(value: object, port: int) -> None:
    assert read(ansible_port=value).port == port


@pytest.mark.parametrize("variable", ["ansible_port", "ansible_ssh_port"])
@pytest.mark.parametrize("value", [0, 65536, -1, "ssh", "", "22.0", True, "0x16", "٢٢", [22], "{{ port }}"])
def test_a_port_out_of_range_names_host_and_variable(variable: str, value: object) -> None:
    with pytest.raises(VariableError, match=f"^host n1: {variable}: "):
        resolve_connection("n1", {variable: value})


@pytest.mark.parametrize("value", ["-l", "a b", "a;b", "$(id)", "a\n"])
def test_a_user_with_characters_no_user_has_is_an_error(value: str) -> None:
    with pytest.raises(VariableError, match=r"^host n1: ansible_user: "):
        read(ansible_user=value)


@pytest.mark.parametrize(
    "variable",
    [
        "ansible_host",
        "ansible_port",
        "ansible_user",
        "ansible_password",
        "ansible_become",
        "ansible_become_password",
        "ansible_ssh_private_key_file",
        "ansible_ssh_common_args",
        "ansible_connection",
    ],
)
@pytest.mark.parametrize("value", ["{{ other.name }}", "{% if a %}b{% endif %}", "a {{ b }}", "{{ a | default('') }}"])
def test_a_jinja_expression_in_a_connection_variable_is_an_error(variable: str, value: str) -> None:
    with pytest.raises(VariableError, match=f"^host n1: {variable}: holds a Jinja expression") as caught:
        resolve_connection("n1", {variable: value})
    assert "other" not in str(caught.value)


@pytest.mark.parametrize("variable", ["ansible_host", "ansible_port", "ansible_user"])
def test_a_reference_is_followed_for_passwords_only(variable: str) -> None:
    with pytest.raises(VariableError, match="holds a Jinja expression"):
        resolve_connection("n1", {variable: "{{ other }}", "other": "1"})


PASSWORDS = ("ansible_password", "ansible_become_password")


@pytest.mark.parametrize("variable", PASSWORDS)
@pytest.mark.parametrize("value", ["{{ vault_x }}", "{{vault_x}}", " {{  vault_x }}\n", "{{ through }}"])
def test_a_password_that_refers_to_no_value_counts_as_not_given_and_is_reported(variable: str, value: str) -> None:
    found = resolve_connection("n1", {variable: value, "through": "{{ vault_x }}"})
    assert (found.ssh.password, found.become.password) == (None, None)
    assert found.ssh.not_honoured == (f"{variable}: vault_x is not set (encrypted values are not read)",)


@pytest.mark.parametrize("variable", PASSWORDS)
def test_a_password_that_refers_to_a_value_is_that_value(variable: str) -> None:
    found = resolve_connection("n1", {variable: "{{ a }}", "a": "{{ b }}", "b": "hunter2\n"})
    assert [found.ssh.password, found.become.password].count(Secret("hunter2")) == 1
    assert (found.ssh.not_honoured, "hunter2" in repr(found)) == ((), False)


def test_a_password_that_refers_to_itself_is_an_error() -> None:
    with pytest.raises(
        VariableError, match=r"^host n1: ansible_password: expected a value, got a, which refers to itself"
    ):
        read(ansible_password="{{ a }}", a="{{ b }}", b="{{ a }}")


def test_an_unsafe_password_is_taken_as_it_is() -> None:
    unsafe = protect_secret("ansible_password", UnsafeText("{{ vault_x }}"))
    assert isinstance(unsafe, Secret)
    assert read(ansible_password=unsafe).ssh.password == "{{ vault_x }}"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("{{ x }}", True),
        ("a {% if x %}b{% endif %}", True),
        ([1, {"a": ["{{ x }}"]}], True),
        ({"{{ x }}": 1}, True),
        (UnsafeText("{{ x }}"), False),
        ([UnsafeText("{{ x }}")], False),
        ("{ x }", False),
        (1, False),
        (None, False),
    ],
)
def test_an_expression_is_found_wherever_it_is_in_a_value(value: object, found: bool) -> None:
    assert holds_expression(value) is found


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_newline_of_a_yaml_block_is_no_part_of_a_password(end: str) -> None:
    found = read(ansible_password=f"a b{end}", ansible_become_pass=f" c {end}")
    assert (found.ssh.password, found.become.password) == ("a b", " c ")


@pytest.mark.parametrize("variable", ["ansible_password", "ansible_become_password"])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("hunter2\n\n", "line break"),
        ("hunter2\nx", "line break"),
        ("\nhunter2", "line break"),
        ("hunter2\rx", "line break"),
        ("hunter2\0", "NUL"),
    ],
)
def test_a_password_of_several_lines_is_an_error_that_does_not_show_it(variable: str, value: str, got: str) -> None:
    with pytest.raises(VariableError, match=f"^host n1: {variable}: expected one line, got a {got} in it$") as caught:
        resolve_connection("n1", {variable: value})
    assert "hunter2" not in str(caught.value)


def test_a_password_of_a_wrong_type_is_an_error_that_does_not_show_it() -> None:
    with pytest.raises(VariableError, match="expected a text, got a list") as caught:
        read(ansible_password=["hunter2"])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(True, True), ("yes", True), ("True", True), (1, True), ("no", False), (False, False), ("0", False), (None, None)],
)
def test_become_takes_ansibles_words_for_yes_and_no(value: object, wanted: bool | None) -> None:
    assert read(ansible_become=value).become.wanted is wanted


def test_become_with_another_word_is_an_error() -> None:
    with pytest.raises(VariableError, match="ansible_become: expected yes or no, got 'maybe'"):
        read(ansible_become="maybe")
