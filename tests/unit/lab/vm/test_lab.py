from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import LabUsageError
from lab.vm import lab as lab_module
from lab.vm.lab import Lab
from lab.vm.process import Process
from lab.vm.state import NodeRecord, save

FIRST = NodeRecord("lab-1", 2201, "root", "bookworm", Process(123, 456))

SECOND = NodeRecord("lab-2", 2202, "admin", "trixie")


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
