"""The check KubeProxyMode: the kernel supports the mode that the inventory chooses for kube-proxy."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.facts import Facts, ModuleState
from tasks.core.kubeadm.inputs import CheckInputs, check_item, kubernetes_version, parse_version
from tasks.core.profile.variables import template_variables
from tasks.core.protocol.instructions import want_module
from tasks.core.result import Item, ItemStatus

NAME = "KubeProxyMode"
IPVS_DEPRECATED_SINCE = (1, 35, 0)
# The second word is a pattern for the module's file: modules are listed with either character.
PROXY_PROBES = (want_module("nf_tables"),)


def check_proxy_mode(node: CheckInputs) -> Iterator[Item]:
    """Check the chosen mode; yield nothing if the inventory chooses none."""
    mode = template_variables(node.host).get("kube_proxy_mode")
    if mode == "nftables" and (got := _missing_nftables(node.facts)):
        step = "boot a kernel that has it, or choose kube_proxy_mode=iptables"
        yield check_item(NAME, ItemStatus.DRIFT, "kernel >= 5.13 with nf_tables", got, step=step)
    elif mode == "ipvs" and kubernetes_version(node.host) >= IPVS_DEPRECATED_SINCE:
        why = "deprecated since Kubernetes 1.35"
        step = "choose kube_proxy_mode=nftables (kernel >= 5.13), or iptables"
        yield check_item(NAME, ItemStatus.ADVISORY, "nftables or iptables", "ipvs", why=why, step=step)
    elif mode:
        yield check_item(NAME, ItemStatus.OK, str(mode), str(mode))


def _missing_nftables(facts: Facts) -> str:
    """Describe a kernel that cannot run kube-proxy's nftables mode; an empty text if it can, or if it is not known."""
    if (parse_version(facts.kernel) or (0, 0)) < (5, 13):
        return f"kernel {facts.kernel}"
    if facts.has_module_index and facts.module("nf_tables") is ModuleState.MISSING:
        return f"kernel {facts.kernel}, without nf_tables"
    return ""
