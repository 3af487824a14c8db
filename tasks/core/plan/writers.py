"""The programs that write sysctl keys while a node runs, to explain a drift where the node shows evidence of one.

A new writer is one row of WRITERS, with its source. A writer is named only where one of its evidence paths exists and,
if it always writes the same value, only for that value.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import NamedTuple

from tasks.core.boot.files import SYSCTL, lines_of
from tasks.core.boot.inits import Dialect
from tasks.core.boot.sysctl import Assignment, parse_assignments
from tasks.core.facts import Facts, FileFact
from tasks.core.kernel import key_path, same_value
from tasks.core.memo import memoized

KUBELET, TUNED = ("/var/lib/kubelet",), "/etc/tuned/active_profile"


class Writer(NamedTuple):
    """A program that writes keys while a node runs.

    keys: patterns of keys, each with the value that is always written, or None. evidence: paths of which one exists
    where it runs. behaviour: the end of a sentence that begins with its name.
    """

    name: str
    keys: tuple[tuple[str, str | None], ...]
    evidence: tuple[str, ...]
    behaviour: str


WRITERS = (
    Writer(  # kubernetes: pkg/kubelet/cm/container_manager_linux.go, component-helpers/node/util/sysctl
        "kubelet",
        (
            ("vm.overcommit_memory", "1"),
            ("vm.panic_on_oom", "0"),
            ("kernel.panic", "10"),
            ("kernel.panic_on_oops", "1"),
            ("kernel.keys.root_maxkeys", "1000000"),
            ("kernel.keys.root_maxbytes", "25000000"),
        ),
        KUBELET,
        "sets it when it starts, unless its protectKernelDefaults is true",
    ),
    Writer(  # kubernetes: cmd/kube-proxy/app/conntrack.go; it never lowers a value
        "kube-proxy",
        (
            ("net.netfilter.nf_conntrack_max", None),
            ("net.netfilter.nf_conntrack_tcp_timeout_established", None),
            ("net.netfilter.nf_conntrack_tcp_timeout_close_wait", None),
            ("net.netfilter.nf_conntrack_udp_timeout*", None),
            ("net.netfilter.nf_conntrack_tcp_be_liberal", "1"),
        ),
        (*KUBELET, "/var/lib/kube-proxy"),
        "sets it from its conntrack settings when it starts; 0 there leaves it alone",
    ),
    Writer(  # kubernetes: pkg/proxy/ipvs/proxier.go, pkg/proxy/iptables/proxier.go
        "kube-proxy",
        (
            ("net.ipv4.vs.conntrack", "1"),
            ("net.ipv4.vs.conn_reuse_mode", "0"),
            ("net.ipv4.vs.expire_nodest_conn", "1"),
            ("net.ipv4.vs.expire_quiescent_template", "1"),
            ("net.ipv4.conf.all.arp_ignore", "1"),
            ("net.ipv4.conf.all.arp_announce", "2"),
            ("net.ipv4.conf.all.route_localnet", "1"),
        ),
        (*KUBELET, "/var/lib/kube-proxy"),
        "sets it when it starts, by its mode",
    ),
    Writer(  # moby: libnetwork/drivers/bridge/setup_ip_forwarding.go, setup_bridgenetfiltering.go
        "dockerd",
        (
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.conf.all.forwarding", "1"),
            ("net.ipv6.conf.*.forwarding", "1"),
            ("net.bridge.bridge-nf-call-ip*tables", "1"),
        ),
        ("/run/docker",),
        "turns it on when it starts",
    ),
    Writer(  # containernetworking/plugins: pkg/ip/ipforward_linux.go
        "a CNI plugin",
        (("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")),
        ("/etc/cni/net.d",),
        "turns it on for pods",
    ),
    Writer(  # projectcalico: felix/dataplane/linux/int_dataplane.go
        "Calico's Felix",
        (("net.ipv4.conf.default.rp_filter", "1"),),
        ("/run/calico",),
        "sets it when it starts",
    ),
    Writer(  # systemd.network(5), IPv6AcceptRA=. Its forwarding is in .network files, which the probe does not read
        "systemd-networkd",
        (("net.ipv6.conf.*.accept_ra", "0"),),
        ("/run/systemd/netif/links",),
        "turns it off on its links, for it handles router advertisements itself",
    ),
)


# Patterns of keys with the value that a kernel starts with: nobody has to have written it. Documentation/networking:
# ip-sysctl.rst, nf_conntrack-sysctl.rst, ipvs-sysctl.rst.
KERNEL_DEFAULTS = (
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv[46].conf.*.forwarding", "0"),
    ("net.ipv6.conf.*.accept_ra", "1"),
    ("net.netfilter.nf_conntrack_tcp_timeout_established", "432000"),
    ("net.netfilter.nf_conntrack_tcp_timeout_close_wait", "60"),
    ("net.netfilter.nf_conntrack_udp_timeout", "30"),
    ("net.netfilter.nf_conntrack_udp_timeout_stream", "120"),
    ("net.netfilter.nf_conntrack_tcp_be_liberal", "0"),
)


class LikelyWriters:
    """The writers of keys on one node. The facts are searched when the first key is explained."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def explain(self, key: str, got: str) -> str:
        """Return a sentence about the likely writer of a key's value, an empty text where there is no evidence."""
        found = [each for each in self._assignments.get(key_path(key), ()) if _assigns(each, key, got)]
        if found:
            line = found[-1].line
            gone = ", which is gone after the next boot" if line.path.startswith("/run/") else ""
            return f"{line} sets it{gone}"
        if any(fnmatchcase(key, pattern) and same_value(key, got, value) for pattern, value in KERNEL_DEFAULTS):
            return "the kernel's default"
        for writer in self._writers:
            if _writes(writer, key, got):
                return f"likely {writer.name}: it {writer.behaviour}"
        profile = self._facts.values.get(TUNED)
        return f"possibly tuned (active profile {profile}): check with tuned-adm verify" if profile else ""

    @cached_property
    def _writers(self) -> list[Writer]:
        """Return the writers with evidence on this node."""
        return [writer for writer in WRITERS if any(map(self._facts.exists, writer.evidence))]

    @cached_property
    def _assignments(self) -> Mapping[str, list[Assignment]]:
        """Return the assignments of all sysctl files on the node, read at boot or not, by the key's path."""
        files = sorted(self._facts.files.items())
        read = tuple(file for path, file in files if f"/{SYSCTL}/" in path or path.endswith("/sysctl.conf"))
        return _assigned(read)


@memoized(maxsize=64)  # mostly nodes have the same files: 60 lines took a fifth of a drifted node's time
def _assigned(files: tuple[FileFact, ...]) -> Mapping[str, list[Assignment]]:
    found: dict[str, list[Assignment]] = {}
    for path, assignment in (pair for line in lines_of(files) for pair in parse_assignments(line, Dialect.SYSTEMD)):
        found.setdefault(path, []).append(assignment)
    return found


def _writes(writer: Writer, key: str, got: str) -> bool:
    values = [value for pattern, value in writer.keys if fnmatchcase(key, pattern)]
    return any(value is None or same_value(key, value, got) for value in values)


def _assigns(found: Assignment, key: str, got: str) -> bool:
    return found.value is not None and same_value(key, found.value, got)


EVIDENCE_PATHS = (*dict.fromkeys(path for writer in WRITERS for path in writer.evidence), TUNED)
