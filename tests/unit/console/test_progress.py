"""The choice between the live line and plain lines."""

from __future__ import annotations

from rich.console import Console

from tasks.console.live import LiveProgress
from tasks.console.output import Screen
from tasks.console.plain import PlainProgress
from tasks.console.progress import progress
from tests.support.screens import Terminal, plain


def test_a_terminal_gets_a_live_line_and_a_pipe_plain_lines() -> None:
    stream = Terminal()
    terminal = Screen(stream, Console(file=stream, force_terminal=True))
    assert isinstance(progress(terminal, "plan", 1), LiveProgress)
    assert isinstance(progress(plain()[0], "plan", 1), PlainProgress)
