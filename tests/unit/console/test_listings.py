"""Listings of rendered files and of snapshots."""

from __future__ import annotations

import json

from tasks.console.listings import show_files, show_snapshots
from tasks.core.result import NodeResult, SnapshotSummary, Status
from tests.support.screens import plain

FOUND = {
    "n1": {"/etc/a.conf": "# [x]\nvm.x = 1\n"},
    "n2": {"/etc/a.conf": "# [x]\nvm.x = 1\n"},
    "n3": {"/etc/a.conf": "b\n"},
}


LEFT = NodeResult("n4", Status.UNREACHABLE, problem="no route", next_step="look at the cable")
TWIN = NodeResult("n5", Status.SKIPPED, same_as="n1")
UNFINISHED = {"host": "n4", "status": "unreachable", "problem": "no route", "next_step": "look at the cable"}
FILES = [
    *(NodeResult(host, Status.OK, files=tuple(files.items())) for host, files in FOUND.items()),
    LEFT,
    TWIN,
]


def test_equal_files_are_shown_once_and_to_the_letter() -> None:
    screen, stream = plain()
    show_files(FILES, screen, as_json=False)
    assert "==> /etc/a.conf on n[1-2] <==\n# [x]\nvm.x = 1\n" in stream.getvalue()
    assert "==> /etc/a.conf on n3 <==\nb\n" in stream.getvalue()


def test_files_are_json_too() -> None:
    screen, stream = plain()
    show_files(FILES, screen, as_json=True)
    assert json.loads(stream.getvalue()) == {"files": FOUND, "unfinished": [UNFINISHED]}


NEW = SnapshotSummary("20261125-021502-a3f1", "fix by anna@laptop (admin)", "1 key")
OLD = SnapshotSummary("20261124-021502-0001", "apply by ben@desk", "2 files, 31 keys")
SNAPSHOTS = [
    NodeResult("n1", Status.OK, snapshots=(NEW, OLD)),
    NodeResult("n2", Status.OK, snapshots=(NEW, OLD)),
    NodeResult("n3", Status.OK),
    LEFT,
    TWIN,
]


def test_equal_snapshots_are_listed_once_and_a_node_without_any_says_so() -> None:
    screen, stream = plain()
    show_snapshots(SNAPSHOTS, screen, as_json=False)
    assert stream.getvalue().splitlines() == [
        "n[1-2]",
        "  20261125-021502-a3f1  2026-11-25 02:15:02 UTC  fix by anna@laptop (admin): 1 key",
        "  20261124-021502-0001  2026-11-24 02:15:02 UTC  apply by ben@desk: 2 files, 31 keys",
        "n3",
        "  nothing to take back",
    ]


def test_snapshots_are_json_too() -> None:
    screen, stream = plain()
    show_snapshots(SNAPSHOTS, screen, as_json=True)
    data = json.loads(stream.getvalue())
    assert list(data["snapshots"]) == ["n1", "n2", "n3"]
    assert data["snapshots"]["n1"][0] == {
        "run": "20261125-021502-a3f1",
        "time": "2026-11-25 02:15:02 UTC",
        "what": "fix by anna@laptop (admin)",
        "of": "1 key",
    }
    assert (data["snapshots"]["n3"], data["unfinished"]) == ([], [UNFINISHED])


def test_a_file_with_a_nodes_text_in_it_holds_nothing_that_a_terminal_acts_on() -> None:
    screen, stream = plain()
    show_files([NodeResult("n1", Status.OK, files=(("/etc/a", "vm.x = \x1b[2J1\ny\n"),))], screen, as_json=False)
    assert stream.getvalue() == "==> /etc/a on n1 <==\nvm.x = ?[2J1\ny\n\n"
