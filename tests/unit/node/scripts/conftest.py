"""The node's scripts in real shells: what their tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.places import (
    Place,
    made,
)
from tests.support.shells import Shell


@pytest.fixture
def place(shell: Shell, tmp_path: Path) -> Place:
    return made(shell, tmp_path)


@pytest.fixture
def in_dash(tmp_path: Path) -> Place:
    """Where programs are ours to replace: busybox's shell has some of its own."""
    return made(Shell.named("dash", tmp_path), tmp_path)


@pytest.fixture
def dash(tmp_path: Path) -> Shell:
    return Shell.named("dash", tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "etc"
    made.mkdir()
    return made
