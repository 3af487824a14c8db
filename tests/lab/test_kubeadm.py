"""The checks before kubeadm join on real kernels: real swap, real listeners, real clocks; and undone again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.vm.lab import Lab
from lab.vm.node import Node
from tests.lab.suite import LabSuite

pytestmark = pytest.mark.lab
LISTEN = """
use IO::Socket::UNIX; use IO::Socket::INET;
my @held = (IO::Socket::UNIX->new(Local => "/run/containerd/containerd.sock", Listen => 1),
            IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 10250, Listen => 1));
sleep 10000;
"""
# What is done to lab-2 and to lab-3 (which gets lab-1's machine-id), and how it is undone.
DO = {
    "lab-2": "fallocate -l 1M /swap && chmod 600 /swap && mkswap /swap && swapon /swap && mkdir -p /run/containerd && "
    "cat > /run/listen.pl && systemd-run --quiet --unit listen perl /run/listen.pl",
    "lab-3": "cp /etc/machine-id /run/own-id && cat > /etc/machine-id && date -s '2 minutes ago'",
}
UNDO = {
    "lab-2": "systemctl stop listen; swapoff /swap; rm -rf /swap /run/containerd /run/listen.pl",
    "lab-3": "date -s '2 minutes'; cp /run/own-id /etc/machine-id",
}


def done(node: Node, command: str, stdin: str = "") -> None:
    ran = node.run(command, stdin=stdin)
    assert ran.returncode == 0, ran.stderr


@pytest.fixture
def suite(lab: Lab, tmp_path: Path) -> Iterator[LabSuite]:
    suite = LabSuite(lab, tmp_path)
    nodes = {node.name: node for node in lab.nodes}
    assert suite.fab("apply").code == 0
    try:
        done(nodes["lab-2"], DO["lab-2"], LISTEN)
        done(nodes["lab-3"], DO["lab-3"], nodes["lab-1"].run("cat /etc/machine-id").stdout)
        yield suite
    finally:
        for name, command in UNDO.items():
            nodes[name].run(command)


def test_swap_listeners_clones_and_clocks_are_seen_on_real_kernels(suite: LabSuite) -> None:
    verify = suite.fab("verify")
    told = {node.name: verify.items(node.name) for node in suite.lab.nodes}
    bad = {
        name: {key: item["status"] for key, item in items.items() if item["status"] in ("drift", "advisory")}
        for name, items in told.items()
    }
    assert bad == {
        "lab-1": {"MachineID": "drift"},
        "lab-2": {"Swap": "advisory", "Port-10250": "drift"},
        "lab-3": {"MachineID": "drift", "ClockSkew": "drift"},
    }
    assert told["lab-2"]["Swap"]["got"] == "/swap"
    assert (told["lab-2"]["CRI"]["status"], told["lab-1"]["CRI"]["status"]) == ("ok", "skipped")
    assert "behind most others" in told["lab-3"]["ClockSkew"]["got"]
    assert verify.code == 3
