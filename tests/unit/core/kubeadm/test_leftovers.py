"""FileAvailable: what a join leaves behind."""

from __future__ import annotations

import pytest

from tasks.core.kubeadm.leftovers import JOINED
from tests.support.kubeadm import RUNTIME, findings, in_groups, listener, run_checks


@pytest.mark.parametrize("path", JOINED)
def test_a_node_that_has_joined_is_not_asked_for_free_ports(path: str) -> None:
    items = run_checks(hidden=[path], listeners=(RUNTIME, listener(10250)), on=in_groups("kube_control_plane"))
    left_out = {name for name, status in findings(items).items() if status == "skipped"}
    assert left_out == {name for name in items if name.startswith(("Port-", "FileAvailable-"))} == set(findings(items))
    assert items["Port-10250"].why == f"already joined: {path} is there"


def test_what_a_join_that_failed_left_behind_is_named() -> None:
    items = run_checks(hidden=["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/bootstrap-kubelet.conf"])
    assert set(findings(items).values()) == {"drift"}
    assert {item.next_step for name, item in items.items() if name in findings(items)} == {
        "a join ended half-way, or the node left its cluster: kubeadm reset"
    }
    certificates = run_checks(hidden=["/etc/kubernetes/pki/ca.crt"], on=in_groups("kube_control_plane"))
    assert findings(certificates) == {}
