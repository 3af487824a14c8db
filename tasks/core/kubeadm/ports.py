"""The checks Port: nobody listens on the ports of the node's role. Source: kubernetes.io, "Ports and Protocols"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.core.kubeadm.inputs import CheckInputs, check_item
from tasks.core.kubeadm.leftovers import find_join
from tasks.core.kubeadm.role import CONTROL_PLANE, ETCD, WORKER
from tasks.core.result import Item, ItemStatus

PROXY_HEALTH = 10256  # kube-proxy's; kubeadm does not check it
PORTS_OF_ROLE = {
    CONTROL_PLANE: (6443, 10250, 10257, 10259, 2379, 2380),
    WORKER: (10250, PROXY_HEALTH),
    ETCD: (2379, 2380),
}
PORTS = tuple(sorted({port for ports in PORTS_OF_ROLE.values() for port in ports}))
PORT_NAMES = tuple(f"Port-{port}" for port in PORTS)
# Lines of /proc/net/tcp and tcp6: 0A is the state LISTEN. Their file is named first, because a user's socket may have a
# name that looks like such a line in /proc/net/unix.
PORT_LISTENERS = f"^ *[0-9]+: [0-9A-F]+:({'|'.join(f'{port:04X}' for port in PORTS)}) [0-9A-F]+:0000 0A "
_LISTENS = re.compile(r"/proc/net/tcp6?: *[0-9]+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 0A ")


def check_ports(node: CheckInputs) -> Iterator[Item]:
    """Check that the role's ports are free; a node that has joined uses them itself."""
    joined = find_join(node.facts)
    matches = (_LISTENS.match(line) for line in node.facts.extra_sections.get("listeners", ()))
    taken = {int(match[1], 16) for match in matches if match}
    for port in PORTS_OF_ROLE[node.role]:
        name = f"Port-{port}"
        if joined:
            yield check_item(name, ItemStatus.SKIPPED, "free", None, why=f"already joined: {joined} is there")
        elif port in taken:
            status = ItemStatus.ADVISORY if port == PROXY_HEALTH else ItemStatus.DRIFT
            step = f"ss -ltnp 'sport = :{port}' on the node, as root, shows who has it"
            yield check_item(name, status, "free", "in use", step=step)
        else:
            yield check_item(name, ItemStatus.OK, "free", "free")
