"""The role of a node in the cluster."""

from __future__ import annotations

from tasks.core.errors import UsageError
from tasks.core.host import Host

CONTROL_PLANE, WORKER, ETCD = ROLES = ("control-plane", "worker", "etcd")
CONTROL_PLANE_GROUPS = {"kube_control_plane", "kube-master", "kube_master"}  # Kubespray's, its old one, kubeasz's
WORKER_GROUPS = {"kube_node", "kube-node"}


def find_role(host: Host) -> str:
    """Return the node's role, one of ROLES: the variable kubeadm_role, else the role of its groups, else worker.

    Raise UsageError with host and variable for another role.
    """
    groups = set(host.groups)
    given = host.variables.get("kubeadm_role")
    if given is not None:
        if str(given) not in ROLES:
            raise UsageError(f"host {host.name}: kubeadm_role: expected one of {', '.join(ROLES)}, got {given!r}")
        return str(given)
    if groups & CONTROL_PLANE_GROUPS:
        return CONTROL_PLANE
    return ETCD if "etcd" in groups and not groups & WORKER_GROUPS else WORKER
