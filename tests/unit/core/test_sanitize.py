"""Text that is safe to print."""

from __future__ import annotations

import pytest

from tasks.core.sanitize import sanitize


@pytest.mark.parametrize(
    ("text", "shown"), [("a\tb", "a\tb"), ("\x1b[1m\r\n\0\x7f\x85", "?[1m?????"), ("grün 漢", "grün 漢")]
)
def test_what_is_printed_of_a_node_holds_no_control_characters(text: str, shown: str) -> None:
    assert sanitize(text) == shown
