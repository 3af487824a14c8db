"""A small node on a real shell, for a step to run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shells import Machine

BRIDGE = "net.bridge.bridge-nf-call-iptables"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "node", keys={"vm.x": "0", "vm.y": "5"})
    made.module("br_netfilter", {BRIDGE: "0"})
    return made


@pytest.fixture
def unprivileged(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "node", uid=1000, keys={"vm.x": "0"})
