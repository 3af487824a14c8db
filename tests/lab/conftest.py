from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from lab.vm import programs
from lab.vm.lab import Lab
from tests.lab.cases import RELEASES

# Below the ports that the kernel hands out, and not those of another run of these tests.
PORT_BASE = 20000 + os.getpid() % 240 * 50
RELEASE_PORTS = PORT_BASE + 20


def require_lab() -> None:
    """Skips the test where the lab cannot be built."""
    missing = [program for program in ("qemu-system-x86_64", "mmdebstrap") if programs.find(program) is None]
    if missing:
        pytest.skip(f"the lab needs {' and '.join(missing)}")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three bookworm nodes on ports of their own; gone after the tests, however these end."""
    require_lab()
    folder = Path(tempfile.mkdtemp(prefix="nodeprep-lab-"))
    try:
        with Lab(folder, port_base=PORT_BASE) as lab:
            yield lab
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def nodes_of(nodeid: str) -> str:
    """Whose nodes a test needs: a release's (test_releases.py), its own file's, or else the session's lab."""
    file, _, test = nodeid.rpartition("/")[2].partition(".py::")
    if file == "test_releases":
        return test.partition("[")[2].partition("-")[0].rstrip("]")
    return file if file in ("test_validators", "test_generated_boots") else "lab"


class SameNodes(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """What is done on the same nodes is done by the same worker; two workers, for a boot keeps one core busy."""

    def _split_scope(self, nodeid: str) -> str:
        return nodes_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SameNodes:
    """Of these tests, whatever --dist says."""
    return SameNodes(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One release after the other, so that a release's nodes are made once and ended early."""
    places = {release: place for place, release in enumerate(RELEASES)}
    items.sort(key=lambda item: places.get(nodes_of(item.nodeid), -1))
