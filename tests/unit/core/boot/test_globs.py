from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.boot.globs import Glob, is_glob

pytestmark = pytest.mark.slow

LETTERS = st.sampled_from("ab-]![*?\\^x")


@given(st.text(LETTERS, max_size=12), st.text(st.sampled_from("ab-]![x\\^"), max_size=8))
def test_a_pattern_matches_what_fnmatch_matches(pattern: str, name: str) -> None:
    assert Glob(pattern).matches(name) is fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("net*", "network", True),
        ("*", "", True),
        ("**", "", True),
        ("?", "", False),
        ("[a-c]x", "bx", True),
        ("[!a-c]x", "bx", False),
        ("[]a]", "]", True),
        ("[[[[", "[[[[", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-b-b-", False),
        ("plain", "plain", True),
        ("plain", "plainer", False),
    ],
)
def test_wildcards(pattern: str, name: str, found: bool) -> None:
    assert Glob(pattern).matches(name) is found


def test_a_plain_text_is_not_a_pattern() -> None:
    assert [is_glob(text) for text in ("a.b", "a*", "a?", "[a")] == [False, True, True, True]
