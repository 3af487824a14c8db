from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.unit.far import SHELLS, Shell

# A busy machine is no bug of ours: nothing here is about time.
settings.register_profile("nodeprep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nodeprep")


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    return Shell.named(str(request.param), tmp_path)
