"""OpenSSH's arguments in an inventory: those that count, and those that are reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import VariableError
from tasks.core.host import HostKeys, SshOptions
from tasks.core.inventory.connection import Connection, resolve_connection
from tasks.core.inventory.ssh_args import HARMLESS


def read(**variables: object) -> Connection:
    return resolve_connection("n1", variables)


def arguments(text: str) -> SshOptions:
    return read(ansible_ssh_common_args=text).ssh


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
        ("-o GlobalKnownHostsFile=/etc/kh", SshOptions(global_known_hosts=("/etc/kh",))),
        (
            "-o UserKnownHostsFile=a -o GlobalKnownHostsFile=b",
            SshOptions(known_hosts=("a",), global_known_hosts=("b",)),
        ),
        ("-o RevokedHostKeys=gone -o RevokedHostKeys=more", SshOptions(revoked_host_keys="gone")),
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


def test_the_first_of_two_settings_counts_as_in_ssh() -> None:
    found = arguments("-o StrictHostKeyChecking=yes -o StrictHostKeyChecking=no -J a -J b")
    assert (found.host_keys, found.proxy_jump) == (HostKeys.STRICT, "a")


def test_of_jump_and_command_the_first_counts_and_the_other_is_said() -> None:
    found = arguments("-J a -o ProxyCommand='nc b'")
    assert (found.proxy_jump, found.proxy_command) == ("a", None)
    assert found.not_honoured == ("-o ProxyCommand=nc b (ansible_ssh_common_args): ProxyJump comes first",)


@given(st.text(max_size=40) | st.lists(st.sampled_from(["-o", "-J", "a", "Port=1", "-p", "'"])).map(" ".join))
def test_whatever_the_arguments_are_they_are_understood_said_or_refused(text: str) -> None:
    try:
        arguments(text)
    except VariableError as error:
        assert error.variable == "ansible_ssh_common_args"


def test_a_password_in_an_argument_without_effect_is_not_shown() -> None:
    (told,) = arguments("-J a -o ProxyCommand='sshpass -p hunter2 ssh b'").not_honoured
    assert told.startswith("-o ProxyCommand=sshpass -p [secret] ssh b")
