"""CRI: a container runtime that listens."""

from __future__ import annotations

import pytest

from lab.fleet.kernel import CONTAINERD
from tests.support.kubeadm import run_checks


@pytest.mark.parametrize(
    ("paths", "status", "got"),
    [
        ((), "drift", "none"),
        (("/run/containerd/containerd.sock.ttrpc", "/run/docker.sock"), "drift", "none"),
        (("/var/run/crio/crio.sock",), "ok", "CRI-O"),
        (("/run/cri-dockerd.sock",), "ok", "cri-dockerd"),
        (("/run/cri-dockerd.sock", "/run/containerd/containerd.sock"), "advisory", "containerd and cri-dockerd"),
    ],
)
def test_a_container_runtime_is_one_that_listens(paths: tuple[str, ...], status: str, got: str) -> None:
    lines = tuple(CONTAINERD.replace("/run/containerd/containerd.sock", path) for path in paths)
    item = run_checks(listeners=lines)["CRI"]
    assert (str(item.status), item.got) == (status, got)
    assert ("--ignore CRI" in item.next_step) is (status == "drift")
