from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.far import SHELLS, Shell


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    return Shell.named(str(request.param), tmp_path)
