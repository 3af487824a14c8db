"""Connection variables to address, port, user, SSH options and become; and the settings without an effect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import VariableError
from tasks.core.host import Become, HostKeys, SshOptions
from tasks.core.inventory.connection import Connection, resolve_connection
from tasks.core.inventory.names import name_problem


def read(**variables: object) -> Connection:
    return resolve_connection("n1", variables)


def test_without_variables_the_name_is_the_address_and_all_else_is_left_to_ssh_config() -> None:
    assert read() == Connection("n1", None, None, SshOptions(), Become())


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"ansible_host": "192.0.2.1"}, "192.0.2.1"),
        ({"ansible_ssh_host": "192.0.2.2"}, "192.0.2.2"),
        ({"ansible_host": "192.0.2.1", "ansible_ssh_host": "192.0.2.2"}, "192.0.2.2"),
        ({"ansible_host": "2001:db8::1"}, "2001:db8::1"),
        ({"ansible_host": "[2001:db8::1]"}, "2001:db8::1"),
        ({"ansible_host": "fe80::1%eth0"}, "fe80::1%eth0"),
        ({"ansible_host": None}, "n1"),
        ({"ansible_host": "node_1.example.com"}, "node_1.example.com"),
    ],
)
def test_the_address_comes_from_ansible_host_or_its_older_name(variables: dict[str, object], address: str) -> None:
    assert resolve_connection("n1", variables).address == address


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a b",
        "-oProxyCommand=id",
        "a;id",
        "$(id)",
        "`id`",
        "a\nb",
        "a\x1b[2J",
        "10.0.0.1:22",
        "u@h",
        "a'b",
        "%h",
        [],
    ],
)
def test_an_address_that_is_none_names_host_and_variable(value: object) -> None:
    with pytest.raises(VariableError, match=r"^host n1: ansible_host: ") as caught:
        read(ansible_host=value)
    assert caught.value.variable == "ansible_host"


def test_a_host_name_that_is_no_address_is_an_error_too() -> None:
    with pytest.raises(VariableError, match=r"^host a b: its name: "):
        resolve_connection("a b", {})


def test_the_older_port_variable_wins_as_in_ansible() -> None:
    assert read(ansible_port=22, ansible_ssh_port=2222).port == 2222


@pytest.mark.parametrize(
    ("value", "user"), [("root", "root"), ("", None), (None, None), ("LAB\\me", "LAB\\me"), (7, "7")]
)
def test_a_user_is_read_and_an_empty_one_is_none(value: object, user: str | None) -> None:
    assert read(ansible_user=value).user == user


def test_a_jinja_expression_elsewhere_is_only_text() -> None:
    assert read(motd="{{ name }}") == read()


@pytest.mark.parametrize("variable", ["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])
def test_a_password_is_a_secret(variable: str) -> None:
    found = resolve_connection("n1", {variable: "hunter2"})
    assert found.ssh.password == "hunter2"
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize("variable", ["ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"])
@pytest.mark.parametrize("value", ["hunter2", 12345])
def test_a_become_password_is_a_secret_even_when_it_looks_like_a_number(variable: str, value: object) -> None:
    found = resolve_connection("n1", {variable: value})
    assert found.become.password == str(value)
    assert str(value) not in repr(found)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_an_empty_password_is_none(end: str) -> None:
    assert read(ansible_password=end, ansible_become_pass=end) == read()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ansible_become_method", "su", "ansible_become_method=su (only sudo is supported)"),
        ("ansible_become_user", "admin", "ansible_become_user=admin (only root is supported)"),
        ("ansible_connection", "local", "ansible_connection=local (hosts are always reached over SSH)"),
        ("ansible_connection", "docker", "ansible_connection=docker (hosts are always reached over SSH)"),
        ("ansible_become_flags", "-H -S", "ansible_become_flags (has no effect here)"),
        ("ansible_private_key", "-----BEGIN", "ansible_private_key (has no effect here)"),
    ],
)
def test_what_cannot_be_honoured_is_said(variable: str, value: str, said: str) -> None:
    assert resolve_connection("n1", {variable: value}).ssh.not_honoured == (said,)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ansible_become_method", "sudo"),
        ("ansible_become_user", "root"),
        ("ansible_connection", "ssh"),
        ("ansible_connection", "smart"),
        ("ansible_connection", "paramiko"),
        ("ansible_connection", "ansible.builtin.ssh"),
        ("ansible_python_interpreter", "/usr/bin/python3"),
    ],
)
def test_what_changes_nothing_here_is_not_spoken_of(variable: str, value: str) -> None:
    assert resolve_connection("n1", {variable: value}) == read()


def test_the_variables_come_before_the_common_arguments_and_those_before_the_extra_ones() -> None:
    found = read(
        ansible_port=22,
        ansible_ssh_common_args="-p 23 -l common",
        ansible_ssh_extra_args="-p 24 -l extra -J extra",
    )
    assert (found.port, found.user, found.ssh.proxy_jump) == (22, "common", "extra")


def test_ansible_ssh_args_come_before_the_variables_as_on_the_command_line_ansible_builds() -> None:
    found = read(ansible_ssh_args="-p 23 -i first", ansible_port=22, ansible_private_key_file="second")
    assert (found.port, found.ssh.key_files) == (23, ("first", "second"))


@pytest.mark.parametrize("variable", ["ansible_host_key_checking", "ansible_ssh_host_key_checking"])
def test_host_key_checking_is_switched_off_only_by_a_no(variable: str) -> None:
    assert resolve_connection("n1", {variable: "no"}).ssh.host_keys is HostKeys.OFF
    assert resolve_connection("n1", {variable: True}).ssh.host_keys is None


def test_a_timeout_variable_is_read() -> None:
    assert read(ansible_timeout=5).ssh.connect_timeout == 5.0


def test_both_names_of_the_key_file_are_known_and_the_older_wins() -> None:
    assert read(ansible_private_key_file="a").ssh.key_files == ("a",)
    assert read(ansible_private_key_file="a", ansible_ssh_private_key_file="b").ssh.key_files == ("b",)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.lists(st.integers(), max_size=2))


NAMES = st.sampled_from(
    [
        "ansible_host",
        "ansible_port",
        "ansible_user",
        "ansible_password",
        "ansible_become",
        "ansible_become_user",
        "ansible_connection",
        "ansible_ssh_args",
        "ansible_timeout",
    ]
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_whatever_the_variables_are_the_only_error_is_one_about_a_variable(variables: dict[str, object]) -> None:
    try:
        found = resolve_connection("n1", variables)
    except VariableError as error:
        assert error.variable in variables
    else:
        assert found.port is None or 1 <= found.port <= 65535
        assert name_problem(found.address) == ""
