"""The screens of pipes and terminals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tasks.console.output import Screen, truncate
from tasks.core.sanitize import UNSAFE_CHARACTERS
from tests.support.screens import Terminal, by_rich, plain


def test_on_a_narrow_terminal_a_command_is_one_line_and_a_sentence_goes_on_further_right() -> None:
    stream = Terminal()
    screen = Screen(stream, Console(file=stream, force_terminal=True, width=60, highlight=False))
    command = f"fab -H n1 apply --inventory {'x' * 80} --profile mine"
    screen.line(command)
    screen.sentence("word " * 20, 2)
    first, *sentence = stream.getvalue().splitlines()
    assert first == command
    assert [line[:5].count(" ") for line in sentence] == [2, 4]
    assert all(len(line) <= 60 for line in sentence)


CELLS = st.text("ab 1é中\t", max_size=60)


@given(st.text("ab é中→\t\n\x07\u200b", max_size=400), st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=3))
def test_a_pipe_gets_without_rich_what_rich_would_write(text: str, rows: list[tuple[str, str, str]]) -> None:
    written = []
    for screen, stream in (plain(), by_rich()):
        screen.line(text, "bold")
        screen.table([("NODES", "STATUS", "TIME"), *rows], ["red"] * len(rows))
        written.append(stream.getvalue())
    assert written[0] == written[1]


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\x1b\x9b\u202e\r\x07"))))
def test_no_screen_gets_what_a_terminal_acts_on(text: str) -> None:
    for screen, stream in (plain(), by_rich()):
        screen.line(text)
        screen.sentence(text, 2)
        screen.table([("A", "B"), (text, text)], [""])
        assert not UNSAFE_CHARACTERS.search(stream.getvalue().replace("\n", ""))


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    assert truncate("x" * 10, 10) == "x" * 10
    assert truncate("x" * 11, 10) == "x" * 10 + "… (11 characters)"
