"""Secrets in invoke's debug messages."""

from __future__ import annotations

import logging

import pytest

from tasks.cli.debugging import hide_secrets


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        ("{'password': 'hunter2', 'user': 'anna'}", "{'password': '[secret]', 'user': 'anna'}"),
        ("""{'sudo_pass': "it's", 'x': 1}""", "{'sudo_pass': '[secret]', 'x': 1}"),
        (r"{'api_token': 'a\'b', 'x': 1}", "{'api_token': '[secret]', 'x': 1}"),
        ("{'password': None}", "{'password': None}"),
        ("no password here", "no password here"),
    ],
)
def test_a_message_has_no_secret(shown: str, hidden: str, caplog: pytest.LogCaptureFixture) -> None:
    hide_secrets()
    with caplog.at_level(logging.DEBUG, logger="invoke"):
        logging.getLogger("invoke").debug("config: %s", shown)
    assert caplog.messages[-1] == f"config: {hidden}"
