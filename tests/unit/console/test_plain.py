"""Progress for pipes and logs."""

from __future__ import annotations

from tasks.console.plain import PlainProgress
from tasks.console.progress import progress
from tasks.core.result import NodeResult, Status
from tests.support.screens import plain


def test_progress_without_a_terminal_is_one_line_for_each_finished_node() -> None:
    screen, stream = plain()
    with progress(screen, "verify", 3) as watching:
        assert isinstance(watching, PlainProgress)
        watching.started("n1")
        watching.finished(NodeResult("n1", Status.OK, seconds=1.24))
        watching.finished(NodeResult("n2", Status.DRIFT, seconds=0))
        watching.interrupted()
    assert stream.getvalue().splitlines() == [
        "verify [1/3] n1: ok (1.2 s)",
        "verify [2/3] n2: drift (0.0 s)",
        "verify: interrupted: no further node starts, those under way finish; Ctrl-C again gives them up",
    ]


def test_a_hosts_name_cannot_move_the_cursor() -> None:
    screen, stream = plain()
    with progress(screen, "plan", 1) as watching:
        watching.finished(NodeResult("n\x1b[2J", Status.OK))
    assert stream.getvalue() == "plan [1/1] n?[2J: ok (0.0 s)\n"
