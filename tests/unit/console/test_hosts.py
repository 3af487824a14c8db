"""The list of hosts, without secrets."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.console.hosts import show_hosts
from tasks.console.output import Screen
from tasks.core.host import Become, Host, SshOptions
from tasks.core.redact import Secret
from tasks.core.sanitize import UNSAFE_CHARACTERS
from tests.support.screens import plain

HOST = Host(
    "n1",
    "192.0.2.1",
    port=2222,
    user="admin",
    groups=("nodes", "rack"),
    variables={"ansible_become_password": "hunter2", "ansible_password": "hunter3", "kube_proxy_mode": "ipvs"},
    ssh=SshOptions(password=Secret("hunter3")),
    become=Become(password=Secret("hunter2")),
)


@pytest.mark.parametrize("as_json", [True, False])
def test_hosts_are_shown_without_their_secrets(as_json: bool) -> None:
    screen, stream = plain()
    show_hosts([HOST], screen, as_json=as_json)
    text = stream.getvalue()
    assert "hunter" not in text
    assert "hunter" not in repr(HOST.ssh) + repr(HOST.become)
    for word in ("n1", "192.0.2.1", "2222", "admin", "nodes", "rack", "ipvs", "[secret]"):
        assert word in text


def test_what_has_no_effect_is_reported_with_the_hosts_that_have_it() -> None:
    fleet = [Host(name, name, ssh=SshOptions(not_honoured=("-4 (ansible_ssh_common_args)",))) for name in ("n1", "n2")]
    screen, stream = plain()
    show_hosts([*fleet, Host("n3", "n3", ssh=SshOptions(not_honoured=("a\x1bb",)))], screen, as_json=False)
    assert stream.getvalue().splitlines()[-2:] == [
        "not honoured on n[1-2]: -4 (ansible_ssh_common_args)",
        "not honoured on n3: a?b",
    ]
    screen, stream = plain()
    show_hosts([*fleet, HOST], screen, as_json=True)
    told = [host["not_honoured"] for host in json.loads(stream.getvalue())["hosts"]]
    assert told == [["-4 (ansible_ssh_common_args)"], ["-4 (ansible_ssh_common_args)"], []]


def test_hosts_are_json_too() -> None:
    screen, stream = plain()
    show_hosts([HOST, Host("n2", "n2")], screen, as_json=True)
    first, second = json.loads(stream.getvalue())["hosts"]
    assert (first["port"], first["groups"], second["port"], second["variables"]) == (2222, ["nodes", "rack"], None, {})


def test_a_secret_inside_a_variable_is_not_shown() -> None:
    """Also where only a name inside it, or a part of its name, says so."""
    stream = io.StringIO()
    inside = {"user": "a", "password": "hunter2", "list": [{"api_token": "hunter2"}]}
    host = Host("n1", "192.0.2.1", variables={"registry": inside, "aws_secret_access_key": "hunter2"})
    show_hosts([host], Screen(stream), as_json=True)
    assert "hunter2" not in stream.getvalue()
    assert "[secret]" in stream.getvalue()


ODD = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\x1b\x9b\x7f\u202e\u2028\U000e0041\n"))
)


@given(ODD, ODD)
def test_hosts_hold_nothing_that_a_terminal_acts_on(name: str, value: str) -> None:
    screen, stream = plain()
    show_hosts([Host("n1", "n1", variables={name: value, "more": {value: [value]}})], screen, as_json=False)
    assert not UNSAFE_CHARACTERS.search(stream.getvalue().replace("\n", ""))
