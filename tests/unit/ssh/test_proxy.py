"""A ProxyCommand: its text, its streams, its environment, and its end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from tasks.core.errors import UnreachableError
from tasks.ssh.environment import SECRET_VARIABLE
from tasks.ssh.proxy import Proxy, expand


@contextlib.contextmanager
def running(command: str) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(command)) as found:
        found.socket.settimeout(10)
        yield found


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("nc %h %p", "nc n1 2222"),
        ("ssh -W [%h]:%p %r@b", "ssh -W [n1]:2222 me@b"),
        ("x %n %% %%h %x %", "x given % %h %x %"),
    ],
)
def test_tokens_are_filled_in_once(command: str, expected: str) -> None:
    assert expand(command, "n1", 2222, "me", "given") == expected


def test_a_user_that_could_be_more_than_a_name_to_the_shell_is_refused() -> None:
    with pytest.raises(UnreachableError, match="which no host or user name has"):
        expand("ssh %r@b", "n1", 22, "$(touch x)", "n1")
    assert expand("nc %h", "n1", 22, "DOMAIN\\me", "n1") == "nc n1"


def test_both_streams_go_through_the_socket() -> None:
    with running("cat") as found:
        found.socket.sendall(b"there and back")
        assert found.socket.recv(100) == b"there and back"


def test_the_end_of_its_stderr_is_quoted() -> None:
    with running("sh -c 'echo; echo one >&2; echo \" two\" >&2'") as found:
        assert found.socket.recv(100) == b"\n"
        assert found.last_errors() == "one; two"
    with running("sh -c 'yes | head -c 9999 >&2'") as found:
        assert found.socket.recv(100) == b""
        assert len(found.last_errors()) == 300


def test_it_does_not_inherit_the_sudo_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "a secret")
    monkeypatch.setenv("OTHER", "kept")
    with running("sh -c 'env; echo end'") as found:
        text = b""
        while b"end\n" not in text:
            text += found.socket.recv(65536)
    assert b"OTHER=kept" in text
    assert b"a secret" not in text


@pytest.mark.parametrize("command", ["sleep 1000", "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done'"])
def test_it_is_ended_by_force_if_it_ignores_the_request(command: str) -> None:
    with running(command) as found:
        pid = found._process.pid
        if "ready" in command:
            assert found.socket.recv(100) == b"ready\n"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
