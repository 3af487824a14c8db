"""Secrets are known by their names: the same words, wherever names are checked."""

from __future__ import annotations

import logging
import time

import pytest

from tasks.cli.debugging import hide_secrets
from tasks.core.redact import Secret, is_secret_name, parse_password, redact, redact_variables


def debugged(text: str, caplog: pytest.LogCaptureFixture) -> str:
    """What `fab -d` prints of a text."""
    hide_secrets()
    with caplog.at_level(logging.DEBUG, logger="invoke"):
        logging.getLogger("invoke").debug("%s", text)
    return caplog.messages[-1]


@pytest.mark.parametrize(
    "name",
    [
        *("db_pass", "DB_PASSWD", "ansible_password", "key_passphrase", "client_secret", "api_token", "tokens"),
        *("cloud_credential", "aws_credentials", "tls_private_key"),
        *("db_pw", "DB_PWD", "bind_pwds", "dbpwd", "wifi_psk", "datadog_apikey", "some_api_key", "snmp_auth_key"),
        *("aws_access_key", "kubeadm_certificate_key", "kube_encryption_key", "minio_accesskey", "pw"),
    ],
)
def test_a_name_that_tells_of_a_secret_is_known_everywhere(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert is_secret_name(name)
    assert redact(name, "hunter2") == "[secret]"
    assert debugged(str({name: "hunter2", "user": "anna"}), caplog) == str({name: "[secret]", "user": "anna"})


@pytest.mark.parametrize("name", ["dbpass", "sshpass_file"])
def test_what_is_debugged_shows_nothing_that_has_pass_in_its_name(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert debugged(str({name: "hunter2"}), caplog) == str({name: "[secret]"})


@pytest.mark.parametrize(
    "name",
    [
        *("user", "kube_proxy_mode", "ansible_ssh_private_key_file", "pwquality", "http_pwm", "count"),
        *("api_key_file", "access_key_path", "apt_key_url", "gpg_key", "keyboard", "tls_certificate", "cpw4"),
    ],
)
def test_other_names_are_shown(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not is_secret_name(name)
    assert redact(name, "x") == "x"
    assert debugged(str({name: "x"}), caplog) == str({name: "x"})


def test_a_variable_with_pass_inside_a_word_is_no_secret() -> None:
    assert not is_secret_name("bypass_list")
    assert redact("bypass_list", "x") == "x"
    assert redact("dbpass", "x") == "[secret]"


@pytest.mark.parametrize(
    ("name", "secret"),
    [("ansible_ssh_pass", True), ("DB_PASSWORD", True), ("api_token", True), ("bypass_list", False), ("user", False)],
)
def test_secrets_are_known_by_the_end_of_their_names(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_what_is_inside_a_variable_is_redacted_by_its_own_name() -> None:
    value = {"user": "anna", "db": [{"db_password": "hunter2", "port": 1}]}
    assert redact("settings", value) == {"user": "anna", "db": [{"db_password": "[secret]", "port": 1}]}


def test_variables_with_a_secret_inside_are_left_out_as_a_whole() -> None:
    assert redact_variables({"mtu": 1450, "api_token": "x", "db": {"db_password": "x"}}) == {"mtu": 1450}


def test_a_secret_is_its_text_and_shows_none() -> None:
    secret = Secret("hunter2")
    assert secret == "hunter2"
    assert f"{[secret]} {secret!r}" == "[[secret]] [secret]"


def test_a_password_is_one_line() -> None:
    assert parse_password("hunter2\n") == "hunter2"
    assert parse_password("\n") is None
    with pytest.raises(ValueError, match="expected one line, got a line break in it"):
        parse_password("hunter2\nx")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://anna:hunter2@proxy.example.com:3128", "http://anna:[secret]@proxy.example.com:3128"),
        ("http://:hunter2@proxy", "http://:[secret]@proxy"),
        ("http://anna:hun@ter2@proxy/x", "http://anna:[secret]@proxy/x"),
        ("http://anna:hun/ter2@proxy/x", "http://anna:[secret]@proxy/x"),
        ("a https://a:hunter2@b, https://c:hunter3@d", "a https://a:[secret]@b, https://c:[secret]@d"),
        ("postgres://u:h%40x@db:5432/x?y=1", "postgres://u:[secret]@db:5432/x?y=1"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/a@b", "http://proxy:3128/a@b"),
        ("ssh://git@example.com/x", "ssh://git@example.com/x"),
        ("-o ProxyCommand='sshpass -p hunter2 ssh -W %h:%p b'", "-o ProxyCommand='sshpass -p [secret] ssh -W %h:%p b'"),
        ('sshpass -p "hunter 2" ssh b', "sshpass -p [secret] ssh b"),
        ("sshpass -phunter2 ssh b", "sshpass -p[secret] ssh b"),
        ("sshpass -e ssh b", "sshpass -e ssh b"),
    ],
)
def test_passwords_inside_a_text_are_not_shown(text: str, shown: str) -> None:
    assert redact("proxy", text) == shown
    assert redact("proxies", {"all": [text]}) == {"all": [shown]}


def test_a_variable_with_a_password_in_a_url_does_not_travel() -> None:
    assert redact_variables({"http_proxy": "http://a:hunter2@b", "no_proxy": "localhost"}) == {"no_proxy": "localhost"}


@pytest.mark.parametrize(
    "text", ["://a:" * 20_000, "://" + "@" * 100_000, "sshpass -p" * 20_000, "://a:" + "a@" * 50_000, "://a:@" * 20_000]
)
def test_a_long_text_is_redacted_in_no_time(text: str) -> None:
    begin = time.process_time()
    redact("x", text)
    assert time.process_time() - begin < 5
