"""Text that is safe to print."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.sanitize import UNSAFE_CHARACTERS, sanitize, sanitize_lines, shorten


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain, ümlaut, 中文\t", "plain, ümlaut, 中文\t"),
        ("\x1b[2J", "?[2J"),
        ("a\r\nb\0", "a??b?"),
        ("\u202etxt.exe", "?txt.exe"),
        ("\x9b31m", "?31m"),
        ("\ud800", "?"),
        ("\U000e0041", "?"),
    ],
)
def test_only_what_a_terminal_or_a_reader_may_act_on_is_replaced(text: str, safe: str) -> None:
    assert sanitize(text) == safe


@given(st.text())
def test_a_sanitized_text_has_the_same_length_and_nothing_to_act_on(text: str) -> None:
    safe = sanitize(text)
    assert len(safe) == len(text)
    assert not any(unicodedata.category(letter) in ("Cc", "Cs") and letter != "\t" for letter in safe)
    assert sanitize(safe) == safe


@given(st.text())
def test_of_several_lines_the_newlines_stay(text: str) -> None:
    safe = sanitize_lines(text)
    assert [match.start() for match in re.finditer("\n", safe)] == [match.start() for match in re.finditer("\n", text)]
    assert not UNSAFE_CHARACTERS.search(safe.replace("\n", ""))


@given(st.text(max_size=60), st.integers(2, 40))
def test_a_shortened_text_says_how_much_is_left_out(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert short == text if len(text) <= limit else f" {len(text) - 2 * (limit // 2)} characters " in short
    assert len(short) <= max(len(text), limit + 30)
