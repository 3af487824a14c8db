from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
