"""The environment of the programs that we start."""

from __future__ import annotations

import pytest

from tasks.ssh.environment import SECRET_VARIABLE, child_environment


def test_a_child_gets_everything_but_the_sudo_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    without = child_environment()
    monkeypatch.setenv(SECRET_VARIABLE, "a secret")
    assert child_environment() == without
    monkeypatch.setenv("OTHER", "kept")
    assert child_environment() == {**without, "OTHER": "kept"}
