"""CRI: a container runtime that listens."""

from __future__ import annotations

import pytest

from tests.support.kubeadm import RUNTIME, SOCKET, run_checks


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
    lines = tuple(RUNTIME.replace(SOCKET, path) for path in paths)
    item = run_checks(dict.fromkeys(paths, ""), listeners=lines)["CRI"]
    assert (str(item.status), item.got) == (status, got)
    assert ("--ignore CRI" in item.next_step) is (status == "drift")


@pytest.mark.parametrize(
    "line",
    [
        f"{RUNTIME[: -len(SOCKET)]}@ {SOCKET}",  # an abstract name with a blank
        f"{RUNTIME[: -len(SOCKET)]}x{SOCKET}",
        f"{RUNTIME} ",
        RUNTIME.replace(" 00010000 ", " 00000000 "),  # connected, or not yet listening
        RUNTIME.replace(" 0001 01 ", " 0002 01 "),  # of datagrams
        RUNTIME.replace(" 0001 01 ", " 0001 03 "),
        RUNTIME.removeprefix("/proc/net/unix:"),
        RUNTIME.replace("/unix:", "/tcp:"),
    ],
)
def test_a_line_counts_as_a_whole_or_not_at_all(line: str) -> None:
    assert str(run_checks(listeners=(line,))["CRI"].status) == "drift"
    assert str(run_checks(listeners=(line, RUNTIME))["CRI"].status) == "ok"


def test_a_socket_without_its_file_is_somebody_elses() -> None:
    """A user may bind the very path in a mount namespace of his own, or write a whole line into a name."""
    item = run_checks({SOCKET: None}, absent=[SOCKET])["CRI"]
    assert (str(item.status), item.got) == ("drift", "none")
    assert "install and start containerd" in item.next_step
    assert str(run_checks({SOCKET: None}, hidden=[f"/var{SOCKET}"])["CRI"].status) == "ok"


def test_a_file_that_only_root_may_see_is_said_to_other_users() -> None:
    item = run_checks({SOCKET: None}, absent=[SOCKET], uid=1000)["CRI"]
    assert str(item.status) == "drift"
    assert (
        item.next_step
        == f"a socket is named {SOCKET}, and no such file is there for this user: fab -H root@NODE verify"
    )
