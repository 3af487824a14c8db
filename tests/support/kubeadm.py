"""A node that is ready for `kubeadm join`, and its checks after changes to it."""

from __future__ import annotations

from typing import Any

from lab.fleet.kernel import CONTAINERD
from tasks.core.host import Host
from tasks.core.kubeadm.checks import check_node
from tasks.core.kubeadm.identity import MACHINE_ID
from tasks.core.kubeadm.swap import SWAPS
from tasks.core.kubeadm.system import CGROUP_V2_FILE
from tasks.core.kubeadm.system_rules import KERNEL_OPTIONS
from tasks.core.plan.desired import resolve
from tasks.core.result import Item
from tests.support.builders import facts, host, rendered

SOCKET = "/run/containerd/containerd.sock"
RUNTIME = f"/proc/net/unix:{CONTAINERD}"
OPTIONS = tuple(f"CONFIG_{name}=y" for name in KERNEL_OPTIONS.split("|") if name != "IP_NF_TARGET_REDIRECT")


READY: dict[str, str] = {
    "kernel.hostname": "n1",
    "net.ipv4.ip_forward": "1",
    SWAPS: "Filename Type Size Used Priority",
    CGROUP_V2_FILE: "cpuset cpu io memory hugetlb pids rdma misc",
    SOCKET: "",
    MACHINE_ID: "0123456789abcdef0123456789abcdef",
    "/proc/meminfo": "MemTotal: 4000000 kB",
    "/sys/devices/system/cpu/online": "0-3",
}


def listening(port: int, address: str = "00000000") -> str:
    """Return a line of /proc/net/tcp, or of tcp6 for a longer address."""
    return f"   1: {address}:{port:04X} {'0' * len(address)}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1146 1"


def listener(port: int, address: str = "00000000") -> str:
    """Return such a line as the probe reports it, with its file."""
    return f"/proc/net/tcp{'6' if len(address) > 8 else ''}:{listening(port, address)}"


def run_checks(
    changes: dict[str, str | None] | None = None,
    *,
    on: Host | None = None,
    listeners: tuple[str, ...] = (RUNTIME,),
    options: tuple[str, ...] = ("r/boot/config-6.1.0-13-amd64", *OPTIONS),
    sysctl: str | None = None,
    modules: str | None = None,
    ignore: str = "",
    **more: Any,
) -> dict[str, Item]:
    """Return the checks, by name, of a node that is ready except for these changes of its values; None: absent."""
    values = {name: text for name, text in {**READY, **(changes or {})}.items() if text is not None}
    seen = facts(values, more={"options": options, "listeners": listeners}, **more)
    desired = resolve([rendered(sysctl, modules)], seen)
    names = frozenset(ignore.lower().split(",")) if ignore else frozenset()
    return {item.name: item for item in check_node(on or host(), seen, desired, names)}


def findings(items: dict[str, Item]) -> dict[str, str]:
    """Return the statuses of the checks that are not ok, by name."""
    return {name: str(item.status) for name, item in items.items() if item.status != "ok"}


def in_groups(*groups: str, **variables: object) -> Host:
    return Host("n1", "192.0.2.1", groups=groups, variables=variables)
