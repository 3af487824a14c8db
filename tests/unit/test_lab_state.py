"""What lab.json remembers, and whom the lab would kill because of it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import LabUsageError
from lab.options import parse_number, state_folder
from lab.vm import lab as lab_module
from lab.vm.lab import Lab
from lab.vm.process import Process
from lab.vm.state import NodeRecord, load, remember, save

FIRST = NodeRecord("lab-1", 2201, "root", "bookworm", Process(123, 456))
SECOND = NodeRecord("lab-2", 2202, "admin", "trixie")


def test_nodes_come_back_as_they_were_saved(tmp_path: Path) -> None:
    save(tmp_path, [FIRST, SECOND])
    assert load(tmp_path) == [FIRST, SECOND]
    assert [path.name for path in tmp_path.iterdir()] == ["lab.json"]


def test_an_empty_folder_has_no_nodes(tmp_path: Path) -> None:
    assert load(tmp_path) == []


def test_remember_replaces_one_node_and_keeps_the_others(tmp_path: Path) -> None:
    remember(tmp_path, SECOND)
    remember(tmp_path, FIRST)
    started = replace(SECOND, process=Process(7, 8))
    remember(tmp_path, started)
    assert load(tmp_path) == [FIRST, started]


def test_a_lab_keeps_its_nodes_and_adds_the_missing(tmp_path: Path) -> None:
    """Known nodes keep their release and port, whatever is asked for now."""
    save(tmp_path, [replace(FIRST, process=None)])
    lab = Lab(tmp_path, "trixie", count=4, port_base=2201)
    said = [(node.name, node.port, node.record.user, node.record.release) for node in lab.nodes]
    assert said == [
        ("lab-1", 2201, "root", "bookworm"),
        ("lab-2", 2202, "admin", "trixie"),
        ("lab-3", 2203, "operator", "trixie"),
        ("lab-4", 2204, "root", "trixie"),
    ]


def test_an_unknown_release_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(LabUsageError, match="no release 'woody' in the lab; there are: bullseye, bookworm, trixie"):
        Lab(tmp_path, "woody")


@pytest.mark.parametrize("text", ["x", "0", "-1", "1000", "9" * 5000, "²", "1.5", ""])
def test_a_number_that_is_none_or_too_large_is_refused(text: str) -> None:
    with pytest.raises(LabUsageError, match="--nodes: expected a number from 1 to 999, got "):
        parse_number("--nodes", text, 999)
    assert parse_number("--nodes", "999", 999) == 999


def test_more_nodes_than_there_is_memory_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.vm.programs.require", lambda: None)
    monkeypatch.setattr(lab_module, "_free_mb", lambda: 1000)
    with pytest.raises(LabUsageError, match="3 nodes take 1020 MB of memory, 1000 MB are free"):
        Lab(tmp_path / "lab", count=3).start()
    assert not (tmp_path / "lab").exists()


def test_an_unknown_node_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(LabUsageError, match="no node 'lab-9' in the lab; there are: lab-1, lab-2"):
        Lab(tmp_path, count=2).node("lab-9")


def test_stop_removes_only_what_the_lab_made(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    save(tmp_path, [SECOND])
    Lab.existing(tmp_path).stop()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_recycled_pid_is_not_alive_and_not_killed() -> None:
    """Same pid, other start time: somebody else's process."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        real = Process.of(child.pid)
        stranger = replace(real, started=real.started - 1)
        assert real.alive()
        assert not stranger.alive()
        stranger.kill()
        assert real.alive()
        real.kill()
        assert not real.alive()
    finally:
        child.kill()
        child.wait()


def test_a_pid_that_is_free_has_no_process() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(ProcessLookupError):
        Process.of(child.pid)
    assert Process.of(os.getpid()).alive()


def test_the_state_folder_is_the_environments_or_the_projects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEPREP_LAB_DIR", str(tmp_path))
    assert state_folder() == tmp_path
    monkeypatch.delenv("NODEPREP_LAB_DIR")
    assert state_folder() == Path(__file__).parents[2] / ".lab"
