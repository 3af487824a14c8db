from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.vm import image, programs
from lab.vm.flavours import FLAVOURS


def test_the_recipe_hash_follows_the_recipe() -> None:
    """Each release has its own, and another package makes another."""
    assert len({image.recipe_hash(flavour) for flavour in FLAVOURS.values()}) == len(FLAVOURS)
    bookworm = FLAVOURS["bookworm"]
    assert image.recipe_hash(bookworm) == image.recipe_hash(replace(bookworm))
    assert image.recipe_hash(bookworm) != image.recipe_hash(replace(bookworm, packages=(*bookworm.packages, "tcpdump")))


def test_the_mirror_is_no_part_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.recipe_hash(FLAVOURS["trixie"])
    monkeypatch.setenv("NODEPREP_LAB_MIRROR", "http://mirror.invalid/debian")
    assert image.recipe_hash(FLAVOURS["trixie"]) == before


def test_purge_leaves_what_is_not_an_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path))
    (tmp_path / "bookworm-0123456789ab").mkdir()
    (tmp_path / "bookworm-photos").mkdir()
    image.purge_cache()
    assert [path.name for path in tmp_path.iterdir()] == ["bookworm-photos"]


def test_purge_leaves_an_image_that_a_running_node_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another lab's QEMU has it as the backing of its disk; once that ended it goes."""
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path))
    kept = image.Image(tmp_path / "trixie-0123456789ab")
    kept.folder.mkdir()
    kept.disk.touch()
    with kept.in_use() as held:
        node = subprocess.Popen(["sleep", "60"], pass_fds=[held])
    try:
        assert image.purge_cache() == [kept.folder]
        assert kept.disk.exists()
    finally:
        node.kill()
        node.wait()
    assert image.purge_cache() == []
    assert not kept.folder.exists()


def test_an_interrupted_build_leaves_no_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEPREP_LAB_CACHE", str(tmp_path))

    def interrupted(*words: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        image.ensure_image(FLAVOURS["bookworm"])
    assert [path.name for path in tmp_path.iterdir()] == ["bookworm.lock"]
