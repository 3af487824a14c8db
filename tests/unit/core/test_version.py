"""The version, as the tool and pyproject.toml say it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from tasks.core.version import VERSION

ROOT = Path(__file__).resolve().parents[3]


def test_pyproject_has_the_same_version() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == VERSION


def test_fab_version_prints_it() -> None:
    fab = Path(sys.executable).parent / "fab"
    done = subprocess.run([fab, "version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"nodeprep {VERSION}\n"
