"""The checks before `kubeadm join`, told from what one probe brings back. What kubeadm refuses is drift, what it only
warns of is advisory. The checks between nodes are in between.py.

Sources: kubernetes, cmd/kubeadm/app/preflight/checks.go and checks_linux.go; kubernetes.io, "Ports and Protocols".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tasks.core.errors import UsageError
from tasks.core.facts import SYSCTL_ROOT, Facts, ModuleState
from tasks.core.host import Host
from tasks.core.kernel import key_name, same_module
from tasks.core.kubeadm import system
from tasks.core.kubeadm.names import (
    BRIDGE_FILES,
    CONTROL_PLANE_PORTS,
    ETCD_PORTS,
    FILES,
    LEFTOVERS,
    PORTS,
    VARIABLE,
    WORKER_PORTS,
    apply_ignores,
    check_name,
    parse_inventory_ignores,
)
from tasks.core.plan.desired import Desired
from tasks.core.profile.variables import template_variables
from tasks.core.result import Identity, Item, ItemStatus, Kind

CONTROL_PLANE_GROUPS = {"kube_control_plane", "kube-master", "kube_master"}  # Kubespray's, its old one, kubeasz's
ROLES = {"control-plane": CONTROL_PLANE_PORTS, "worker": WORKER_PORTS, "etcd": ETCD_PORTS}
WORKER_GROUPS = {"kube_node", "kube-node"}
BRIDGE_NETWORKS = {"flannel", "weave", "kube-router", "canal"}

SOCKETS = {
    "/run/containerd/containerd.sock": "containerd",
    "/run/crio/crio.sock": "CRI-O",
    "/run/cri-dockerd.sock": "cri-dockerd",
}

JOINED = (LEFTOVERS[0], "/etc/kubernetes/kubelet.kubeconfig")  # kubeadm's, kubeasz's
MACHINE_ID, PRODUCT_UUID, SWAPS = "/etc/machine-id", "/sys/class/dmi/id/product_uuid", "/proc/swaps"
HOSTNAME = SYSCTL_ROOT + "kernel/hostname"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")  # RFC 1123, as kubeadm wants a node's name
_LISTENS = re.compile(r" *[0-9]+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 0A ")
_CPUS, _MEMORY_MB = 2, 1700  # of a control plane: kubeadm's constants


def probe_instructions() -> list[str]:
    """What a probe has to be told besides, for all of this."""
    ports = "|".join(f"{port:04X}" for port in PORTS)
    paths = "|".join(SOCKETS).replace(".", "[.]")
    listeners = f"^ *[0-9]+: [0-9A-F]+:({ports}) [0-9A-F]+:0000 0A |^[^ ]+ [^ ]+ [^ ]+ 00010000 .* (/var)?({paths})$"
    looks = (*FILES, *BRIDGE_FILES, SWAPS, system.V1, system.V2, MACHINE_ID, PRODUCT_UUID)
    theirs = [f"there {path}" for path in dict.fromkeys((*LEFTOVERS, *JOINED))]
    return [
        *(f"look {path}" for path in looks),
        *theirs,
        "want configs configs",
        "want nf_tables nf[-_]tables",
        f"options {system.KERNEL_OPTIONS}",
        f"listeners {listeners}",
    ]


def ignored_of_host(host: Host) -> frozenset[str]:
    """What the inventory wants ignored on a host."""
    return parse_inventory_ignores(host.variables.get(VARIABLE, ""))


def checks(host: Host, facts: Facts, desired: Desired, names: frozenset[str]) -> tuple[Item, ...]:
    """The checks of one node, in kubeadm's order as far as it has one. names: those to be ignored, in lower case."""
    part = role(host)
    return apply_ignores(
        [
            *_leftovers(facts, part),
            _cri(facts),
            _swap(facts),
            system.verify_system(facts, _version(str(host.variables.get("kube_version", "")))),
            *_proxy_mode(host, facts),
            _hostname(facts),
            *(_resources(facts) if part == "control-plane" else ()),
            *(_file_content(path, facts, desired) for path in _files(host, desired)),
            *_ports(facts, ROLES[part]),
        ],
        names,
    )


def identity(facts: Facts, window: tuple[float, float], names: frozenset[str]) -> Identity:
    """What the nodes are compared by. window: our monotonic seconds before the node was asked and after it replied."""
    seconds = next(
        (int(line) for line in facts.extra_sections.get("clock", ()) if re.fullmatch("[0-9]{1,12}", line)), None
    )
    before, after = window
    return Identity(
        hostname=(facts.values.get(HOSTNAME) or "").lower(),
        machine_id=facts.values.get(MACHINE_ID) or "",
        product_uuid=(facts.values.get(PRODUCT_UUID) or "").lower(),
        unreadable=PRODUCT_UUID in facts.present,
        clock=None if seconds is None else (seconds - after, seconds + 1 - before),  # date cuts the fraction off
        ignored=names,
    )


def _item(name: str, status: ItemStatus, expected: str, got: str | None, *, why: str = "", step: str = "") -> Item:
    return Item(Kind.CHECK, name, status, expected, got, why, step)


def _joined(facts: Facts) -> str:
    """The file that says that this node is in a cluster already, or an empty text."""
    return next((path for path in JOINED if facts.exists(path)), "")


def role(host: Host) -> str:
    """A node's part in the cluster, one of ROLES: the variable kubeadm_role, else what its groups say, else worker.

    Raises UsageError, naming host and variable, for another one.
    """
    groups = set(host.groups)
    given = host.variables.get("kubeadm_role")
    if given is not None:
        if str(given) not in ROLES:
            raise UsageError(f"host {host.name}: kubeadm_role: expected one of {', '.join(ROLES)}, got {given!r}")
        return str(given)
    if groups & CONTROL_PLANE_GROUPS:
        return "control-plane"
    return "etcd" if "etcd" in groups and not groups & WORKER_GROUPS else "worker"


def _leftovers(facts: Facts, part: str) -> Iterator[Item]:
    """Files that kubeadm join writes and does not want to find."""
    joined = _joined(facts)
    for path in LEFTOVERS if part == "worker" else LEFTOVERS[:2]:  # certificates are put on the others beforehand
        name = check_name("FileAvailable", path)
        if joined:
            yield _item(name, ItemStatus.SKIPPED, "absent", "there", why=f"already joined: {joined} is there")
        elif facts.exists(path):
            step = "a join ended half-way, or the node left its cluster: kubeadm reset"
            yield _item(name, ItemStatus.DRIFT, "absent", "there", step=step)
        else:
            yield _item(name, ItemStatus.OK, "absent", None)


def _cri(facts: Facts) -> Item:
    ends = {line.rsplit(" ", 1)[-1].removeprefix("/var") for line in facts.extra_sections.get("listeners", ())}
    found = [name for path, name in SOCKETS.items() if path in ends]
    expected = "a container runtime that listens"
    if not found:
        step = "install and start containerd or CRI-O; if that comes later: --ignore CRI"
        return _item("CRI", ItemStatus.DRIFT, expected, "none", step=step)
    if len(found) > 1:
        why = "kubeadm asks for its --cri-socket where there are several"
        return _item("CRI", ItemStatus.ADVISORY, expected, " and ".join(found), why=why)
    return _item("CRI", ItemStatus.OK, expected, found[0])


def _swap(facts: Facts) -> Item:
    swaps = [word for line in facts.texts(SWAPS)[1:] for word in line.split()[:1]]
    if not swaps:
        return _item("Swap", ItemStatus.OK, "off", "off")
    why = "kubelet does not start with swap unless it is told to"
    step = "swapoff -a, and take it out of /etc/fstab; or failSwapOn: false in kubelet's configuration"
    return _item("Swap", ItemStatus.ADVISORY, "off", " ".join(swaps), why=why, step=step)


def _version(text: str) -> tuple[int, int] | None:
    """`v1.34.2` or `6.1.0-13-amd64` -> (1, 34), (6, 1)."""
    match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})", text)
    return (int(match[1]), int(match[2])) if match else None


def _proxy_mode(host: Host, facts: Facts) -> Iterator[Item]:
    """kube-proxy's mode, where the inventory chooses one: whether this kernel has what it needs."""
    mode = template_variables(host).get("kube_proxy_mode")
    if mode == "nftables" and (got := _without_nftables(facts)):
        step = "boot a kernel that has it, or choose kube_proxy_mode=iptables"
        yield _item("KubeProxyMode", ItemStatus.DRIFT, "kernel >= 5.13 with nf_tables", got, step=step)
    elif mode == "ipvs":
        why = "deprecated since Kubernetes 1.35"
        step = "choose kube_proxy_mode=nftables (kernel >= 5.13), or iptables"
        yield _item("KubeProxyMode", ItemStatus.ADVISORY, "nftables or iptables", "ipvs", why=why, step=step)
    elif mode:
        yield _item("KubeProxyMode", ItemStatus.OK, str(mode), str(mode))


def _without_nftables(facts: Facts) -> str:
    """What this kernel lacks for kube-proxy's nftables mode; an empty text if nothing is known to be amiss."""
    if (_version(facts.kernel) or (0, 0)) < (5, 13):
        return f"kernel {facts.kernel}"
    if facts.has_module_index and facts.module("nf_tables") is ModuleState.MISSING:
        return f"kernel {facts.kernel}, without nf_tables"
    return ""


def _hostname(facts: Facts) -> Item:
    name = facts.values.get(HOSTNAME) or ""
    expected = "a name after RFC 1123, unique among the selected nodes"
    if not _NAME.match(name.lower()) or len(name) > 253:
        step = "hostnamectl set-hostname NAME: letters, digits, `-` and `.` only"
        return _item("Hostname", ItemStatus.DRIFT, expected, name, step=step)
    return _item("Hostname", ItemStatus.OK, expected, name)


def _resources(facts: Facts) -> Iterator[Item]:
    """What kubeadm wants a control plane to have."""
    seen = facts.for_templates()
    for name, unit, least, got in (
        ("NumCPU", "CPUs", _CPUS, seen["cpus"]),
        ("Mem", "MB", _MEMORY_MB, seen["memory_mb"]),
    ):
        enough = isinstance(got, int) and got >= least
        step = "" if enough else "give the node more, or let it be a worker"
        status = ItemStatus.OK if enough else ItemStatus.DRIFT
        yield _item(name, status, f">= {least} {unit} for a control plane", f"{got} {unit}", step=step)


def _files(host: Host, desired: Desired) -> Iterator[str]:
    """The files below /proc/sys that have to be 1 on this host."""
    keys = {setting.key for setting in desired.settings}
    if _is_true(host.variables.get("ipv4_stack"), otherwise=True):
        yield FILES[0]
    two = any(_is_true(host.variables.get(name)) for name in ("ipv6_stack", "enable_dual_stack_networks"))
    if two or "net.ipv6.conf.all.forwarding" in keys or _key(FILES[1]) in keys:
        yield FILES[1]
    network = {str(host.variables.get(name)) for name in ("kube_network_plugin", "CLUSTER_NETWORK")}
    bridged = any(same_module("br_netfilter", name) for name in desired.modules)
    if network & BRIDGE_NETWORKS or bridged or _key(BRIDGE_FILES[0]) in keys:
        yield BRIDGE_FILES[0]
        yield from BRIDGE_FILES[1:] if two else ()


def _is_true(value: object, *, otherwise: bool = False) -> bool:
    """Ansible's truth: True, true, yes, on, 1."""
    return otherwise if value is None else str(value).lower() in ("true", "yes", "on", "1")


def _key(path: str) -> str:
    return key_name(path.removeprefix(SYSCTL_ROOT))


def _file_content(path: str, facts: Facts, desired: Desired) -> Item:
    """kubeadm compares the first byte. Where the profile has the key, it is the key that is told, and only once."""
    got, key, name = facts.values.get(path), _key(path), check_name("FileContent", path)
    if got is not None and got.startswith("1"):
        return _item(name, ItemStatus.OK, "1", got)
    if any(setting.key == key for setting in desired.settings):
        return _item(name, ItemStatus.SKIPPED, "1", got, why=f"the profile has it: see {key}")
    bring = "fab -H NODE fix br_netfilter, then " if got is None and "/bridge/" in path else ""
    return _item(name, ItemStatus.DRIFT, "1", got, step=f"{bring}fab -H NODE fix {key}=1")


def _ports(facts: Facts, wanted: Sequence[int]) -> Iterator[Item]:
    joined = _joined(facts)
    matches = (_LISTENS.match(line) for line in facts.extra_sections.get("listeners", ()))
    taken = {int(match[1], 16) for match in matches if match}
    for port in wanted:
        name = f"Port-{port}"
        if joined:
            yield _item(name, ItemStatus.SKIPPED, "free", None, why=f"already joined: {joined} is there")
        elif port in taken:
            status = ItemStatus.ADVISORY if port == WORKER_PORTS[-1] else ItemStatus.DRIFT  # kubeadm leaves 10256 alone
            step = f"ss -ltnp 'sport = :{port}' on the node, as root, shows who has it"
            yield _item(name, status, "free", "in use", step=step)
        else:
            yield _item(name, ItemStatus.OK, "free", "free")
