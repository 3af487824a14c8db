"""The variables that a template may use."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.core.errors import VariableError
from tasks.core.host import Host

# The facts of a plausible node: templates are rendered with them before any connection, so that errors show early.
SAMPLE: Mapping[str, object] = {
    "kernel": "6.1.0-13-amd64",
    "hostname": "node",
    "cpus": 4,
    "memory_mb": 8192,
    "distribution": "debian",
    "distribution_version": "12",
    "ipv6": True,
    "systemd": True,
    "container": "",
}

PROXY_MODES = ("ipvs", "iptables", "nftables")


def template_variables(host: Host) -> dict[str, object]:
    """Return the variables of a host for templates: its own, inventory_hostname, group_names and kube_proxy_mode.

    kube_proxy_mode is the variable of that name (Kubespray), else PROXY_MODE (kubeasz), in lower case; it is left out
    if neither exists. Raise VariableError for a mode that kube-proxy does not have.
    """
    variables: dict[str, object] = dict(host.variables)
    variables["inventory_hostname"] = host.name
    variables["group_names"] = list(host.groups)
    origin = next((name for name in ("kube_proxy_mode", "PROXY_MODE") if name in host.variables), None)
    if origin is not None:
        variables["kube_proxy_mode"] = _proxy_mode(host.name, origin, host.variables[origin])
    return variables


def _proxy_mode(host: str, variable: str, value: object) -> str:
    mode = str(value).strip().lower()
    if mode not in PROXY_MODES:
        raise VariableError(host, variable, f"expected one of {', '.join(PROXY_MODES)}, got {value!r}")
    return mode
