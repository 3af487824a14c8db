"""Port: who listens, and on which ports it matters."""

from __future__ import annotations

import pytest

from tasks.core.host import Host
from tests.support.builders import host
from tests.support.kubeadm import RUNTIME, findings, in_groups, listener, run_checks


@pytest.mark.parametrize(
    ("on", "ports"),
    [
        (host(), {10250, 10256}),
        (in_groups("kube_control_plane", "etcd"), {6443, 10250, 10257, 10259, 2379, 2380}),
        (in_groups("kube_control_plane", "kube_node"), {6443, 10250, 10257, 10259, 2379, 2380}),
        (in_groups("kube_master"), {6443, 10250, 10257, 10259, 2379, 2380}),
        (in_groups("etcd"), {2379, 2380}),
        (in_groups("etcd", "kube_node"), {10250, 10256}),
        (in_groups("kube_control_plane", kubeadm_role="worker"), {10250, 10256}),
        (host(kubeadm_role="control-plane"), {6443, 10250, 10257, 10259, 2379, 2380}),
    ],
)
def test_the_ports_are_those_of_the_nodes_part_in_the_cluster(on: Host, ports: set[int]) -> None:
    taken = run_checks(on=on, listeners=(RUNTIME, *map(listener, (1, 2379, 2380, 6443, 10250, 10256, 10257, 10259))))
    assert {name for name in taken if name.startswith("Port-")} == {f"Port-{port}" for port in ports}
    assert all(taken[f"Port-{port}"].status == ("advisory" if port == 10256 else "drift") for port in ports)
    assert findings(run_checks(on=on)) == {}


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        (listener(10250, "0100007F"), True),
        (listener(10250, "0" * 32), True),
        (listener(10250).replace(" 0A ", " 01 "), False),  # an outgoing connection of that port
        (listener(10251), False),
        ("nonsense :280A 0A", False),
        (listener(10250).replace("/tcp:", "/unix:"), False),  # the name of a socket
    ],
)
def test_a_port_is_taken_where_somebody_listens_on_any_address(line: str, taken: bool) -> None:
    assert findings(run_checks(listeners=(RUNTIME, line))) == ({"Port-10250": "drift"} if taken else {})
