"""The identity of a run."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tasks.core.protocol.lock import run_time
from tasks.node import stamp

NOW = datetime(2026, 11, 25, 2, 15, 2, 999, UTC)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8))])
def test_a_run_is_named_by_the_time_that_it_is_given_in_utc(zone: timezone) -> None:
    run = stamp.new_change_id("fix", NOW.astimezone(zone)).run
    assert run.startswith("20261125-021502-")
    assert run_time(run) == "2026-11-25 02:15:02 UTC"


def test_two_runs_of_one_second_have_different_names() -> None:
    assert len({stamp.new_change_id("apply", NOW).run for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("user", "machine", "who"),
    [
        ("anna", "laptop", "anna@laptop"),
        ("CORP\\anna b", "lap top\n", "CORP_anna_b@lap_top_"),
        ("a" * 100, "", f"{'a' * 64}@unknown"),
    ],
)
def test_who_it_is_is_one_plain_word(user: str, machine: str, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: user)
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    made = stamp.new_change_id("apply", NOW)
    assert (made.who, made.verb) == (who, "apply")


@pytest.mark.parametrize("error", [KeyError("uid"), OSError("no user")])
def test_a_user_that_no_passwd_file_knows_is_unknown(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", fail)
    assert stamp.new_change_id("apply", NOW).who.startswith("unknown@")
