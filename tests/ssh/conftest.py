"""Fixtures of the ssh ring: real sshd, real shells, on nodes that end with the module that asked for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet.fleet import Fleet
from tests.ssh.suite import Suite

HERE = Path(__file__).parent


def _why_not() -> str:
    if os.geteuid() != 0:
        return "the fleet needs root"
    if not Path("/usr/sbin/sshd").exists():
        return "the fleet needs sshd"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder; the hook gets the tests of the whole run."""
    reason = _why_not()
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.ssh)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(3) as three:
        yield three


@pytest.fixture(scope="module")
def unused(fleet: Fleet) -> Iterator[str]:
    """Yield the fleet's nodes from its end, where the plain ones are; each test takes its own."""
    return reversed(fleet.hosts)


@pytest.fixture
def suite(fleet: Fleet, unused: Iterator[str], tmp_path: Path) -> Suite:
    return Suite(fleet, tmp_path, unused)
