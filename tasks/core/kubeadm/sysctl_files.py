"""The checks FileContent: files below /proc/sys that kubeadm requires to contain 1."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.facts import SYSCTL_ROOT
from tasks.core.host import Host
from tasks.core.kernel import ALIASES, key_name, key_path, same_module
from tasks.core.kubeadm.inputs import CheckInputs, check_item, check_name, kubernetes_version
from tasks.core.plan.desired import Desired, Setting
from tasks.core.protocol.instructions import look
from tasks.core.result import Item, ItemStatus

FILES = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/default/forwarding")
BRIDGE_FILES = ("/proc/sys/net/bridge/bridge-nf-call-iptables", "/proc/sys/net/bridge/bridge-nf-call-ip6tables")
BRIDGE_CHECKED_BEFORE = (1, 30, 0)  # by kubeadm itself, for every network: kubernetes, pull request 123464
BRIDGE_NETWORKS = {"flannel", "weave", "kube-router", "canal"}
SYSCTL_FILE_NAMES = tuple(check_name("FileContent", path) for path in (*FILES, *BRIDGE_FILES))
SYSCTL_FILE_PROBES = tuple(map(look, (*FILES, *BRIDGE_FILES)))


def check_sysctl_files(node: CheckInputs) -> Iterator[Item]:
    """Check each required file. If the profile sets the key to 1, the item of the key reports it instead."""
    for path in _required_files(node.host, node.desired):
        yield _check_file(path, node)


def _required_files(host: Host, desired: Desired) -> Iterator[str]:
    keys = {setting.key for setting in desired.settings}
    if is_true(host.variables.get("ipv4_stack"), otherwise=True):
        yield FILES[0]
    dual = any(is_true(host.variables.get(name)) for name in ("ipv6_stack", "enable_dual_stack_networks"))
    if dual or "net.ipv6.conf.all.forwarding" in keys or _key(FILES[1]) in keys:
        yield FILES[1]
    network = {str(host.variables.get(name)) for name in ("kube_network_plugin", "CLUSTER_NETWORK")}
    bridged = any(same_module("br_netfilter", name) for name in desired.modules)
    old = kubernetes_version(host) < BRIDGE_CHECKED_BEFORE
    if old or network & BRIDGE_NETWORKS or bridged or _key(BRIDGE_FILES[0]) in keys:
        yield BRIDGE_FILES[0]
        yield from BRIDGE_FILES[1:] if dual else ()


def is_true(value: object, *, otherwise: bool = False) -> bool:
    """Read a truth value as Ansible does: True, true, yes, on and 1 are true; None is the default."""
    return otherwise if value is None else str(value).lower() in ("true", "yes", "on", "1")


def _key(path: str) -> str:
    return key_name(path.removeprefix(SYSCTL_ROOT))


def _check_file(path: str, node: CheckInputs) -> Item:
    """Compare the first byte only, as kubeadm does."""
    got, key, name = node.facts.values.get(path), _key(path), check_name("FileContent", path)
    setting = _setting(path.removeprefix(SYSCTL_ROOT), node.desired)
    if setting and setting.minimum is None and not setting.value.startswith("1"):
        why, step = (
            f"the profile sets {setting.key} = {setting.value}",
            f"{key} = 1 belongs into the profile; then apply",
        )
        return check_item(name, ItemStatus.DRIFT, "1", got, why=why, step=step)
    if got is not None and got.startswith("1"):
        return check_item(name, ItemStatus.OK, "1", got)
    if setting and setting.value.startswith("1"):
        return check_item(name, ItemStatus.SKIPPED, "1", got, why=f"the profile has it: see {setting.key}")
    bring = "fab -H NODE fix br_netfilter, then " if got is None and "/bridge/" in path else ""
    return check_item(name, ItemStatus.DRIFT, "1", got, step=f"{bring}fab -H NODE fix {key}=1")


def _setting(path: str, desired: Desired) -> Setting | None:
    """Return the profile's setting of a file below /proc/sys, by either of its names; None if it has none."""
    return next((each for each in desired.settings if key_path(each.key) in (path, ALIASES.get(path))), None)
