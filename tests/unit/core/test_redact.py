"""What is taken for a secret by its name: the same words, wherever names are looked at."""

from __future__ import annotations

import logging

import pytest

from tasks.cli.debugging import hide_secrets
from tasks.core.redact import is_secret_name, redact


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
    ],
)
def test_a_name_that_tells_of_a_secret_is_known_everywhere(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert is_secret_name(name)
    assert redact(name, "hunter2") == "[secret]"
    assert debugged(str({name: "hunter2", "user": "anna"}), caplog) == str({name: "[secret]", "user": "anna"})


@pytest.mark.parametrize("name", ["dbpass", "sshpass_file"])
def test_what_is_debugged_shows_nothing_that_has_pass_in_its_name(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert debugged(str({name: "hunter2"}), caplog) == str({name: "[secret]"})


@pytest.mark.parametrize("name", ["user", "kube_proxy_mode", "ansible_ssh_private_key_file"])
def test_other_names_are_shown(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not is_secret_name(name)
    assert redact(name, "x") == "x"
    assert debugged(str({name: "x"}), caplog) == str({name: "x"})


def test_a_variable_with_pass_inside_a_word_is_no_secret() -> None:
    assert not is_secret_name("bypass_list")
    assert redact("bypass_list", "x") == "x"
    assert redact("dbpass", "x") == "[secret]"
