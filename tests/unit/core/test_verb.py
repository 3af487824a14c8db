"""What follows from a verb, for those that fabfile.py declares."""

from __future__ import annotations

import pytest

from tasks.core.verb import PLAN
from tests.support.verbs import ROLLBACK_PLAN, VERBS


@pytest.mark.parametrize(
    ("name", "writes", "is_gate", "is_preview", "uses_profiles"),
    [
        ("plan", False, False, True, True),
        ("apply", True, False, False, True),
        ("verify", False, True, False, True),
        ("fix", True, False, False, True),
        ("rollback", True, False, False, False),
        ("render", False, False, True, True),
        ("hosts", False, False, True, True),
    ],
)
def test_what_follows_from_a_verb(
    name: str, writes: bool, is_gate: bool, is_preview: bool, uses_profiles: bool
) -> None:
    verb = VERBS[name]
    assert str(verb) == name
    assert (verb.writes, verb.is_gate, verb.is_preview, verb.uses_profiles) == (
        writes,
        is_gate,
        is_preview,
        uses_profiles,
    )
    assert verb.counts_checks is (name == "verify")
    assert verb.one_node is (name == "fix")


def test_a_plan_of_a_rollback_is_a_preview_without_profiles() -> None:
    assert (ROLLBACK_PLAN.is_preview, ROLLBACK_PLAN.uses_profiles, VERBS["plan"]) == (True, False, PLAN)
