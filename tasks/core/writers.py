"""Who else writes sysctl keys on a node: next to a drift, the likely writer where the node shows one.

Each row's source is named with it. A guess is only made where the node has the writer's sign, and where a writer always
writes the same value, only for that value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tasks.core.bootfiles import SYSCTL, Line, lines_of
from tasks.core.bootkeys import Assignment, parsed
from tasks.core.facts import Facts
from tasks.core.inits import Dialect
from tasks.core.keys import key_path, same_value

KUBELET, TUNED = ("/var/lib/kubelet",), "/etc/tuned/active_profile"


@dataclass(frozen=True, slots=True)
class Writer:
    """Something that writes keys while a node runs.

    keys: patterns of keys, each with the value that is always written, or None. signs: paths one of which is there
    where it runs. does: what it does, as the end of a sentence.
    """

    name: str
    keys: tuple[tuple[str, str | None], ...]
    signs: tuple[str, ...]
    does: str


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
            ("net.ipv4.vs.*", None),
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
    Writer(  # systemd.network(5): IPForward=, since 256 IPv4Forwarding= and IPv6Forwarding=
        "systemd-networkd",
        (
            ("net.ipv4.ip_forward", None),
            ("net.ipv4.conf.*.forwarding", None),
            ("net.ipv6.conf.*.forwarding", None),
            ("net.ipv6.conf.*.accept_ra", "0"),
        ),
        ("/run/systemd/netif/links",),
        "sets it where a .network file says IPForward= or the like",
    ),
)


def likely_writer(key: str, got: str, facts: Facts) -> str:
    """Who may have given a key the value that it has; an empty text where nothing points to anyone."""
    if line := _line_with(key, got, facts):
        gone = ", which is gone after the next boot" if line.path.startswith("/run/") else ""
        return f"{line} says so{gone}"
    for writer in WRITERS:
        if any(_there(sign, facts) for sign in writer.signs) and _writes(writer, key, got):
            return f"likely {writer.name}: it {writer.does}"
    profile = facts.values.get(TUNED)
    return f"perhaps tuned, whose profile is {profile}: tuned-adm verify tells" if profile else ""


def _writes(writer: Writer, key: str, got: str) -> bool:
    about = [value for pattern, value in writer.keys if fnmatchcase(key, pattern)]
    return any(value is None or same_value(key, value, got) for value in about)


def _there(path: str, facts: Facts) -> bool:
    return path in facts.hidden or facts.values.get(path) is not None


def _line_with(key: str, got: str, facts: Facts) -> Line | None:
    """A line of another sysctl file on the node, read at boot or not, that gives the key this very value."""
    files = [
        file for path, file in sorted(facts.files.items()) if f"/{SYSCTL}/" in path or path.endswith("/sysctl.conf")
    ]
    name = re.split("[./]", key)[-1]  # however the line separates the others
    found = [pair for line in lines_of(files) if name in line.text for pair in parsed(line, Dialect.TABLE)]
    same = [said.line for path, said in found if path == key_path(key) and _says(said, key, got)]
    return same[-1] if same else None


def _says(said: Assignment, key: str, got: str) -> bool:
    return said.value is not None and same_value(key, said.value, got)


SIGNS = (*dict.fromkeys(sign for writer in WRITERS for sign in writer.signs), TUNED)
