from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import copy_project


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def project(tmp_path: Path, listener: socket.socket) -> Path:
    return copy_project(tmp_path / "project", listener.getsockname()[1])


@pytest.fixture
def lonely(project: Path) -> Path:
    """A project whose only node is not there."""
    (project / "hosts.ini").write_text("[nodes]\nn1 ansible_host=127.0.0.1 ansible_port=1\n")
    return project
