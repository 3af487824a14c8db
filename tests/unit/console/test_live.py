"""The progress line of a terminal."""

from __future__ import annotations

from rich.console import Console

from tasks.console.live import LiveProgress
from tasks.console.output import Screen
from tasks.console.progress import progress
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, Status
from tests.support.screens import Terminal


def test_progress_on_a_terminal_is_gone_in_the_end_but_for_the_trouble() -> None:
    stream = Terminal()
    console = Console(file=stream, force_terminal=True, width=100, highlight=False)
    with progress(Screen(stream, console), "apply", 5) as watching:
        assert isinstance(watching, LiveProgress)
        for number in range(5):
            watching.started(f"n{number}")
        watching.finished(NodeResult("n0", Status.UNREACHABLE, problem="no [bold]route"))
        watching.finished(NodeResult("n1", Status.OK))
        watching.finished(NodeResult("n2", Status.FAILED, (Item(Kind.SYSCTL, "vm.x", ItemStatus.MISSING, "1", None),)))
        watching.interrupted()
    assert "n0: unreachable: no [bold]route" in stream.getvalue()
    assert "n2: failed: vm.x" in stream.getvalue()
    assert "apply: interrupted: no further node starts" in stream.getvalue()
    assert "n1: ok" not in stream.getvalue()


def test_a_failure_above_the_bar_is_short_and_harmless() -> None:
    stream = Terminal()
    console = Console(file=stream, force_terminal=True, width=100, highlight=False)
    with progress(Screen(stream, console), "apply", 1) as watching:
        watching.started("n0")
        watching.finished(NodeResult("n0", Status.FAILED, problem="\x1b]0;x\x07" + "y" * 10_000))
    assert "\x1b]0;" not in stream.getvalue()
    assert stream.getvalue().count("y") < 500
