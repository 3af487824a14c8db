from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import programs
from lab.nodes import Lab

# Below the ports that the kernel hands out, and not those of another run of these tests.
PORT_BASE = 20000 + os.getpid() % 480 * 25


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three bookworm nodes on ports of their own; gone after the tests, however these end."""
    missing = [program for program in ("qemu-system-x86_64", "mmdebstrap") if programs.find(program) is None]
    if missing:
        pytest.skip(f"the lab needs {' and '.join(missing)}")
    folder = Path(tempfile.mkdtemp(prefix="nodeprep-lab-"))
    try:
        with Lab(folder, port_base=PORT_BASE) as lab:
            yield lab
    finally:
        shutil.rmtree(folder, ignore_errors=True)
