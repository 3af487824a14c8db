"""The checks FileAvailable: files that `kubeadm join` writes and refuses to overwrite."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.facts import Facts
from tasks.core.kubeadm.inputs import CheckInputs, check_item, check_name
from tasks.core.kubeadm.role import WORKER
from tasks.core.protocol.instructions import check_presence
from tasks.core.result import Item, ItemStatus

LEFTOVERS = ("/etc/kubernetes/kubelet.conf", "/etc/kubernetes/bootstrap-kubelet.conf", "/etc/kubernetes/pki/ca.crt")
JOINED = (LEFTOVERS[0], "/etc/kubernetes/kubelet.kubeconfig")  # kubeadm's, kubeasz's
LEFTOVER_NAMES = tuple(check_name("FileAvailable", path) for path in LEFTOVERS)
LEFTOVER_PROBES = tuple(map(check_presence, dict.fromkeys((*LEFTOVERS, *JOINED))))


def find_join(facts: Facts) -> str:
    """Return the file that shows that the node has joined a cluster, or an empty text."""
    return next((path for path in JOINED if facts.exists(path)), "")


def check_leftovers(node: CheckInputs) -> Iterator[Item]:
    """Check that a node that has not joined has none of the files of a join."""
    joined = find_join(node.facts)
    # Certificates are copied to control planes and etcd nodes before they join.
    for path in LEFTOVERS if node.role == WORKER else LEFTOVERS[:2]:
        name = check_name("FileAvailable", path)
        if joined:
            yield check_item(name, ItemStatus.SKIPPED, "absent", "there", why=f"already joined: {joined} is there")
        elif node.facts.exists(path):
            step = "a join ended half-way, or the node left its cluster: kubeadm reset"
            yield check_item(name, ItemStatus.DRIFT, "absent", "there", step=step)
        else:
            yield check_item(name, ItemStatus.OK, "absent", None)
