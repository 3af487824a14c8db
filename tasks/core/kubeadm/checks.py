"""The table of the checks of one node before `kubeadm join`. The checks between nodes are in cluster.py.

A check is a function in a file of its own and a row here. Its status is drift where kubeadm refuses the node, and
advisory where kubeadm warns. Source: kubernetes, cmd/kubeadm/app/preflight/checks.go and checks_linux.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.kubeadm.hostname import check_hostname
from tasks.core.kubeadm.identity import IDENTITY_PROBES
from tasks.core.kubeadm.ignores import apply_ignores
from tasks.core.kubeadm.inputs import CheckInputs
from tasks.core.kubeadm.kernel_defaults import KERNEL_DEFAULTS_PROBES, KUBELET_LINES, check_kernel_defaults
from tasks.core.kubeadm.leftovers import LEFTOVER_NAMES, LEFTOVER_PROBES, check_leftovers
from tasks.core.kubeadm.ports import PORT_LISTENERS, PORT_NAMES, check_ports
from tasks.core.kubeadm.proxy_mode import PROXY_PROBES, check_proxy_mode
from tasks.core.kubeadm.resources import check_resources
from tasks.core.kubeadm.role import find_role
from tasks.core.kubeadm.runtime import RUNTIME_LISTENERS, RUNTIME_PROBES, check_runtime
from tasks.core.kubeadm.swap import SWAPS, check_swap
from tasks.core.kubeadm.sysctl_files import SYSCTL_FILE_NAMES, SYSCTL_FILE_PROBES, check_sysctl_files
from tasks.core.kubeadm.system import SYSTEM_PROBES, check_system
from tasks.core.plan.desired import Desired
from tasks.core.protocol.instructions import find_listeners, look
from tasks.core.result import Item


class Check(NamedTuple):
    """A row of the table.

    run: yields the items; names: all that its items may have; probes: instructions for the probe; lines: a pattern for
    lines of /proc/net/tcp, tcp6 and unix, and of kubelet's files (kubeadm.sh lists them). Lines come with their file's
    name. One instruction asks for the patterns of all rows.
    """

    run: Callable[[CheckInputs], Iterable[Item]]
    names: tuple[str, ...]
    probes: tuple[str, ...] = ()
    lines: str = ""


CHECKS = (  # in kubeadm's order, as far as it has one
    Check(check_leftovers, LEFTOVER_NAMES, LEFTOVER_PROBES),
    Check(check_runtime, ("CRI",), RUNTIME_PROBES, RUNTIME_LISTENERS),
    Check(check_swap, ("Swap",), (look(SWAPS),)),
    Check(check_system, ("SystemVerification",), SYSTEM_PROBES),
    Check(check_proxy_mode, ("KubeProxyMode",), PROXY_PROBES),
    Check(check_hostname, ("Hostname",)),
    Check(check_resources, ("NumCPU", "Mem")),
    Check(check_sysctl_files, SYSCTL_FILE_NAMES, SYSCTL_FILE_PROBES),
    Check(check_ports, PORT_NAMES, lines=PORT_LISTENERS),
    Check(check_kernel_defaults, ("KubeletKernelDefaults",), KERNEL_DEFAULTS_PROBES, KUBELET_LINES),
)


def probe_instructions() -> list[str]:
    """Return the instructions that the checks add to a probe."""
    patterns = "|".join(check.lines for check in CHECKS if check.lines)
    return [*(line for check in CHECKS for line in check.probes), *IDENTITY_PROBES, find_listeners(patterns)]


def check_node(host: Host, facts: Facts, desired: Desired, ignored: frozenset[str]) -> tuple[Item, ...]:
    """Return the items of all checks of one node. ignored: names in lower case.

    Raise UsageError for a kubeadm_role that does not exist.
    """
    node = CheckInputs(host, find_role(host), facts, desired)
    return apply_ignores((item for check in CHECKS for item in check.run(node)), ignored)
