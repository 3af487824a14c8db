"""A node's refusal of a change, and a run's name."""

from __future__ import annotations

import pytest

from tasks.core.protocol.lock import LOCK, STORE, change_refusal, run_time
from tests.support.builders import facts


@pytest.mark.parametrize(
    ("complaint", "problem", "step"),
    [
        (
            f"lock {LOCK} 1 apply anna@laptop 20261125-021502-a3f1",
            "locked by anna@laptop: apply since 2026-11-25 02:15:02 UTC",
            "--force-unlock",
        ),
        (f"lock {LOCK} 1 is a folder", f"{LOCK}: is a folder", "--force-unlock"),
        (f"snapshot {STORE} 1 mkdir: No space left", "nothing was changed: mkdir: No space left", "make room"),
    ],
)
def test_a_node_that_does_not_let_us_change_it_says_why(complaint: str, problem: str, step: str) -> None:
    error = change_refusal(facts(complaints=[complaint]))
    assert error is not None
    assert problem in error.problem
    assert step in error.next_step


def test_a_node_that_lets_us_says_nothing() -> None:
    assert change_refusal(facts(complaints=["load ip_vs 1 no"])) is None


@pytest.mark.parametrize(
    ("run", "time"), [("20261125-021502-a3f1", "2026-11-25 02:15:02 UTC"), ("r1", ""), ("20261125-021502", "")]
)
def test_a_runs_name_tells_its_time(run: str, time: str) -> None:
    assert run_time(run) == time
