"""The names of the checks before `kubeadm join`, and which of them are to be ignored.

The names are kubeadm's own, so that they mean the same in --ignore as in its --ignore-preflight-errors. Source:
kubernetes, cmd/kubeadm/app/preflight/checks.go: the Name of each checker, and setHasItemOrAll. What is checked here and
what is left to kubeadm: docs/kubeadm-preflight.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from tasks.core.errors import UsageError
from tasks.core.result import Item, ItemStatus

ALL = "all"
VARIABLE = "kubeadm_ignore_preflight_errors"  # Kubespray's

# What kubeadm does not check itself, and what a cluster suffers from all the same.
OWN_CHECKS = ("KubeProxyMode", "MachineID", "ProductUUID", "ClockSkew")
FILES = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/default/forwarding")
BRIDGE_FILES = ("/proc/sys/net/bridge/bridge-nf-call-iptables", "/proc/sys/net/bridge/bridge-nf-call-ip6tables")
CONTROL_PLANE_PORTS = (6443, 10250, 10257, 10259, 2379, 2380)
WORKER_PORTS = (10250, 10256)
ETCD_PORTS = (2379, 2380)
PORTS = tuple(sorted({*CONTROL_PLANE_PORTS, *WORKER_PORTS}))
LEFTOVERS = ("/etc/kubernetes/kubelet.conf", "/etc/kubernetes/bootstrap-kubelet.conf", "/etc/kubernetes/pki/ca.crt")


def check_name(kind: str, path: str) -> str:
    """`FileContent`, `/proc/x` -> kubeadm's `FileContent--proc-x`."""
    return f"{kind}-{path.replace('/', '-')}"


IMPLEMENTED = (
    *("Swap", "SystemVerification", "CRI", "Hostname", "NumCPU", "Mem", *OWN_CHECKS),
    *(check_name("FileContent", path) for path in (*FILES, *BRIDGE_FILES)),
    *(check_name("FileAvailable", path) for path in LEFTOVERS),
    *(f"Port-{port}" for port in PORTS),
)

LEFT_TO_KUBEADM = (
    *("IsPrivilegedUser", "KubernetesVersion", "KubeletVersion", "Service-Kubelet", "Firewalld", "ImagePull"),
    *("HTTPProxy", "HTTPProxyCIDR", "ExternalEtcdVersion", "ExternalEtcdClientCertificates"),
)

_FAMILY = re.compile(r"(port-[0-9]{1,5}|(filecontent|fileavailable|fileexisting|diravailable|service)-.+)\Z")


def parse_ignores(flag: str) -> frozenset[str]:
    """The names of --ignore in lower case. Raises UsageError for one that neither kubeadm nor nodeprep has."""
    known = {name.lower(): name for name in (ALL, *IMPLEMENTED, *LEFT_TO_KUBEADM)}
    for name in _split(flag):
        if name.lower() not in known and not _FAMILY.match(name.lower()):
            nearest = [known[found] for found in get_close_matches(name.lower(), known, n=1)]
            hint = f"did you mean {nearest[0]}?" if nearest else f"the names are {', '.join(IMPLEMENTED)}, and {ALL}"
            raise UsageError(f"--ignore: no check is named {name!r}; {hint}")
    return parse_inventory_ignores(flag)


def parse_inventory_ignores(variable: object) -> frozenset[str]:
    """The inventory's names: comma text or a list. What is unknown there is for kubeadm, and has no effect here."""
    names = map(str, variable) if isinstance(variable, list) else _split(str(variable))
    return frozenset(name.strip().lower() for name in names)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def apply_ignores(items: Iterable[Item], names: Collection[str]) -> tuple[Item, ...]:
    """The items, with those that are to be ignored as skipped, and what they would have said as the reason."""
    return tuple(_skipped(item) if _applies(item, names) else item for item in items)


def _applies(item: Item, names: Collection[str]) -> bool:
    told = item.status in (ItemStatus.DRIFT, ItemStatus.ADVISORY)
    return told and (ALL in names or item.name.lower() in names)


def _skipped(item: Item) -> Item:
    why = f"ignored, as asked for: expected {item.expected}, got {item.found}"
    return item._replace(status=ItemStatus.SKIPPED, why=why, next_step="")
