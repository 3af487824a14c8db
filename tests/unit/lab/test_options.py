from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabUsageError
from lab.options import parse_number, state_folder


@pytest.mark.parametrize("text", ["x", "0", "-1", "1000", "9" * 5000, "²", "1.5", ""])
def test_a_number_that_is_none_or_too_large_is_refused(text: str) -> None:
    with pytest.raises(LabUsageError, match="--nodes: expected a number from 1 to 999, got "):
        parse_number("--nodes", text, 999)
    assert parse_number("--nodes", "999", 999) == 999


def test_the_state_folder_is_the_environments_or_the_projects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEPREP_LAB_DIR", str(tmp_path))
    assert state_folder() == tmp_path
    monkeypatch.delenv("NODEPREP_LAB_DIR")
    assert state_folder() == Path(__file__).parents[3] / ".lab"
