from __future__ import annotations

from pathlib import Path

import pytest

from lab.cache import cache_folder, cached_file


def test_the_cache_is_the_environments_or_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("NODEPREP_LAB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/nodeprep-lab"
    assert not cache_folder().exists()


def test_a_cached_file_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a folder that only its owner reads, and nothing else is left there."""
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path / "cache"))
    made: list[Path] = []

    def make(target: Path) -> None:
        made.append(target)
        target.write_text("text")

    first, second = cached_file("name", make), cached_file("name", make)
    assert first == second == tmp_path / "cache/name"
    assert first.read_text() == "text"
    assert len(made) == 1
    assert list(first.parent.iterdir()) == [first]
    assert first.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_was_not_finished_is_not_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path))

    def interrupted(target: Path) -> None:
        target.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_file("name", interrupted)
    assert list(tmp_path.iterdir()) == []
