"""Connection variables to address, port, user, SSH options and become; and what is said to have no effect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.host import Become, HostKeys, SshOptions
from tasks.core.inventory.connection import Connection, resolve_connection
from tasks.core.inventory.names import name_problem, port_number
from tasks.core.inventory.ssh_args import HARMLESS
from tasks.core.inventory.variables import VariableError
from tasks.core.redact import is_secret_name


def read(**variables: object) -> Connection:
    return resolve_connection("n1", variables)


def arguments(text: str) -> SshOptions:
    return read(ansible_ssh_common_args=text).ssh


def test_without_variables_the_name_is_the_address_and_all_else_is_left_to_ssh_config() -> None:
    assert read() == Connection("n1", None, None, SshOptions(), Become())


# ---------------------------------------------------------------- address, port, user


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


@pytest.mark.parametrize(("value", "port"), [(22, 22), ("2222", 2222), ("1", 1), (65535, 65535), (" 22 ", 22)])
def test_a_port_is_a_number_or_its_text(value: object, port: int) -> None:
    assert read(ansible_port=value).port == port


@pytest.mark.parametrize("variable", ["ansible_port", "ansible_ssh_port"])
@pytest.mark.parametrize("value", [0, 65536, -1, "ssh", "", "22.0", True, "0x16", "٢٢", [22], "{{ port }}"])
def test_a_port_out_of_range_names_host_and_variable(variable: str, value: object) -> None:
    with pytest.raises(VariableError, match=f"^host n1: {variable}: "):
        resolve_connection("n1", {variable: value})


def test_the_older_port_variable_wins_as_in_ansible() -> None:
    assert read(ansible_port=22, ansible_ssh_port=2222).port == 2222


@pytest.mark.parametrize(
    ("value", "user"), [("root", "root"), ("", None), (None, None), ("LAB\\me", "LAB\\me"), (7, "7")]
)
def test_a_user_is_read_and_an_empty_one_is_none(value: object, user: str | None) -> None:
    assert read(ansible_user=value).user == user


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
@pytest.mark.parametrize("value", ["{{ other }}", "{% if a %}b{% endif %}"])
def test_a_jinja_expression_in_a_connection_variable_is_an_error(variable: str, value: str) -> None:
    with pytest.raises(VariableError, match=f"^host n1: {variable}: holds a Jinja expression") as caught:
        resolve_connection("n1", {variable: value})
    assert "other" not in str(caught.value)


def test_a_jinja_expression_elsewhere_is_only_text() -> None:
    assert read(motd="{{ name }}") == read()


# ---------------------------------------------------------------- secrets and become


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


# ---------------------------------------------------------------- ssh's own arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-J jump@192.0.2.9:22", SshOptions(proxy_jump="jump@192.0.2.9:22")),
        ("-Jjump", SshOptions(proxy_jump="jump")),
        ("-o ProxyJump=a,b", SshOptions(proxy_jump="a,b")),
        ("-oProxyJump=a", SshOptions(proxy_jump="a")),
        ("-o 'ProxyJump a'", SshOptions(proxy_jump="a")),
        ("-o 'proxyjump = a'", SshOptions(proxy_jump="a")),
        (
            '-o ProxyCommand="ssh -W %h:%p -q bastion"',
            SshOptions(proxy_command="ssh -W %h:%p -q bastion"),
        ),
        ("-o 'ProxyCommand=nc -X 5 %h %p'", SshOptions(proxy_command="nc -X 5 %h %p")),
        ("-i ~/.ssh/a -o IdentityFile=~/.ssh/b", SshOptions(key_files=("~/.ssh/a", "~/.ssh/b"))),
        ("-o UserKnownHostsFile=/dev/null", SshOptions(known_hosts=("/dev/null",))),
        ("-o 'UserKnownHostsFile=a b'", SshOptions(known_hosts=("a", "b"))),
        ("-o GlobalKnownHostsFile=/etc/kh", SshOptions(known_hosts=("~/.ssh/known_hosts", "/etc/kh"))),
        ("-o UserKnownHostsFile=a -o GlobalKnownHostsFile=b", SshOptions(known_hosts=("a", "b"))),
        ("-o StrictHostKeyChecking=yes", SshOptions(host_keys=HostKeys.STRICT)),
        ("-o StrictHostKeyChecking=ask", SshOptions(host_keys=HostKeys.STRICT)),
        ("-o StrictHostKeyChecking=accept-new", SshOptions(host_keys=HostKeys.ACCEPT_NEW)),
        ("-o StrictHostKeyChecking=no", SshOptions(host_keys=HostKeys.OFF)),
        ("-o StrictHostKeyChecking=off", SshOptions(host_keys=HostKeys.OFF)),
        ("-o StrictHostKeyChecking=True", SshOptions(host_keys=HostKeys.STRICT)),
        ("-o StrictHostKeyChecking=false", SshOptions(host_keys=HostKeys.OFF)),
        ("-o ConnectTimeout=7", SshOptions(connect_timeout=7.0)),
        ("-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=~/%r", SshOptions()),
        ("-C -q -tt -vvv -A", SshOptions()),
        ("-qC", SshOptions()),
        ("-o GSSAPIAuthentication=no", SshOptions()),
        ("", SshOptions()),
    ],
)
def test_ssh_arguments_are_understood(text: str, expected: SshOptions) -> None:
    assert arguments(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-o VerifyHostKeyDNS=yes", "-o VerifyHostKeyDNS=yes (ansible_ssh_common_args)"),
        ("-oCiphers=aes128-ctr", "-o Ciphers=aes128-ctr (ansible_ssh_common_args)"),
        ("-o 'BindAddress 192.0.2.1'", "-o BindAddress=192.0.2.1 (ansible_ssh_common_args)"),
        ("-o GSSAPIAuthentication=yes", "-o GSSAPIAuthentication=yes (ansible_ssh_common_args)"),
        ("-o IdentitiesOnly=yes", "-o IdentitiesOnly=yes (ansible_ssh_common_args)"),
        ("-F lab.conf", "-F lab.conf (ansible_ssh_common_args)"),
        ("-D1080", "-D 1080 (ansible_ssh_common_args)"),
        ("-4", "-4 (ansible_ssh_common_args)"),
        ("-q4C", "-4 (ansible_ssh_common_args)"),
        ("stray", "stray (ansible_ssh_common_args)"),
        ("-o ProxyJump=", "-o ProxyJump= (ansible_ssh_common_args)"),
    ],
)
def test_an_argument_without_effect_is_said_with_the_variable_it_stands_in(text: str, said: str) -> None:
    assert arguments(text) == SshOptions(not_honoured=(said,))


@pytest.mark.parametrize("key", sorted(HARMLESS))
def test_every_harmless_setting_has_a_reason_and_is_silent(key: str) -> None:
    assert HARMLESS[key]
    assert arguments(f"-o {key}=x") == SshOptions()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("-p 0", "expected a port from 1 to 65535, got '0'"),
        ("-o Port=99999", "expected a port from 1 to 65535"),
        ("-o StrictHostKeyChecking=maybe", "StrictHostKeyChecking: expected one of yes, true, ask"),
        ("-o ConnectTimeout=soon", "expected a number of seconds"),
        ("-l 'a b'", "which no host or user name has"),
        ("-o 'open", "unfinished quote"),
        ("-J", "expected a value after -J"),
    ],
)
def test_an_argument_that_cannot_be_meant_names_host_and_variable(text: str, problem: str) -> None:
    with pytest.raises(VariableError, match=r"^host n1: ansible_ssh_common_args: ") as caught:
        arguments(text)
    assert problem in caught.value.problem


def test_user_and_port_may_stand_in_the_arguments() -> None:
    found = read(ansible_ssh_common_args="-l me -p 2222")
    assert (found.user, found.port) == ("me", 2222)


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


def test_the_first_of_two_settings_counts_as_in_ssh() -> None:
    found = arguments("-o StrictHostKeyChecking=yes -o StrictHostKeyChecking=no -J a -J b")
    assert (found.host_keys, found.proxy_jump) == (HostKeys.STRICT, "a")


def test_of_jump_and_command_the_first_counts_and_the_other_is_said() -> None:
    found = arguments("-J a -o ProxyCommand='nc b'")
    assert (found.proxy_jump, found.proxy_command) == ("a", None)
    assert found.not_honoured == ("-o ProxyCommand=nc b (ansible_ssh_common_args): ProxyJump comes first",)


@pytest.mark.parametrize("variable", ["ansible_host_key_checking", "ansible_ssh_host_key_checking"])
def test_host_key_checking_is_switched_off_only_by_a_no(variable: str) -> None:
    assert resolve_connection("n1", {variable: "no"}).ssh.host_keys is HostKeys.OFF
    assert resolve_connection("n1", {variable: True}).ssh.host_keys is None


def test_a_timeout_variable_is_read() -> None:
    assert read(ansible_timeout=5).ssh.connect_timeout == 5.0


def test_both_names_of_the_key_file_are_known_and_the_older_wins() -> None:
    assert read(ansible_private_key_file="a").ssh.key_files == ("a",)
    assert read(ansible_private_key_file="a", ansible_ssh_private_key_file="b").ssh.key_files == ("b",)


# ---------------------------------------------------------------- helpers and properties


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


@pytest.mark.parametrize(
    ("name", "secret"),
    [("ansible_ssh_pass", True), ("DB_PASSWORD", True), ("api_token", True), ("bypass_list", False), ("user", False)],
)
def test_secrets_are_known_by_the_end_of_their_names(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


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


@given(st.text(max_size=40) | st.lists(st.sampled_from(["-o", "-J", "a", "Port=1", "-p", "'"])).map(" ".join))
def test_whatever_the_arguments_are_they_are_understood_said_or_refused(text: str) -> None:
    try:
        arguments(text)
    except VariableError as error:
        assert error.variable == "ansible_ssh_common_args"
