"""Who is named next to a drift, as a table: what the node shows in, who is suspected out."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import diff
from tasks.core.plan.writers import LikelyWriters
from tasks.core.result import ItemStatus
from tests.support.builders import facts, rendered

KUBELET = {"hidden": ["/var/lib/kubelet"]}
CASES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "nothing points to anyone": ("vm.swappiness", "60", {}, ""),
    "kubelet's own value": (
        "vm.overcommit_memory",
        "1",
        KUBELET,
        "likely kubelet: it sets it when it starts, unless its protectKernelDefaults is true",
    ),
    "another value than kubelet's": ("vm.overcommit_memory", "2", KUBELET, ""),
    "kubelet's value where there is no kubelet": ("vm.overcommit_memory", "1", {}, ""),
    "conntrack": (
        "net.netfilter.nf_conntrack_max",
        "131072",
        KUBELET,
        "likely kube-proxy: it sets it from its conntrack settings when it starts; 0 there leaves it alone",
    ),
    "kube-proxy without a kubelet": (
        "net.ipv4.vs.conntrack",
        "1",
        {"hidden": ["/var/lib/kube-proxy"]},
        "likely kube-proxy: it sets it when it starts, by its mode",
    ),
    "docker": (
        "net.ipv4.ip_forward",
        "1",
        {"hidden": ["/run/docker"]},
        "likely dockerd: it turns it on when it starts",
    ),
    "not docker: it never turns it off": ("net.ipv4.ip_forward", "2", {"hidden": ["/run/docker"]}, ""),
    "networkd": (
        "net.ipv6.conf.eth0.accept_ra",
        "0",
        {"hidden": ["/run/systemd/netif/links"]},
        "likely systemd-networkd: it turns it off on its links, for it handles router advertisements itself",
    ),
    "networkd without a .network file that says so": (
        "net.ipv4.ip_forward",
        "1",
        {"hidden": ["/run/systemd/netif/links"]},
        "",
    ),
    "a CNI plugin": (
        "net.ipv4.ip_forward",
        "1",
        {"hidden": ["/etc/cni/net.d"]},
        "likely a CNI plugin: it turns it on for pods",
    ),
    "Felix": (
        "net.ipv4.conf.default.rp_filter",
        "1",
        {"hidden": ["/run/calico"]},
        "likely Calico's Felix: it sets it when it starts",
    ),
    "tuned, last": (
        "vm.swappiness",
        "10",
        {"values": {"/etc/tuned/active_profile": "throughput-performance"}},
        "possibly tuned (active profile throughput-performance): check with tuned-adm verify",
    ),
    "Cilium's file": (
        "net.ipv4.conf.all.rp_filter",
        "0",
        {"files": {"/etc/sysctl.d/99-zzz-override_cilium.conf": "net.ipv4.conf.all.rp_filter = 0"}},
        "/etc/sysctl.d/99-zzz-override_cilium.conf:1 sets it",
    ),
    "a file that is gone at the next boot": (
        "vm.swappiness",
        "10",
        {"files": {"/run/sysctl.d/x.conf": "# c\nvm/swappiness=0xa", "/etc/sysctl.d/x.conf": "vm.swappiness=60"}},
        "/run/sysctl.d/x.conf:2 sets it, which is gone after the next boot",
    ),
    "a file before any program": (
        "vm.overcommit_memory",
        "1",
        {**KUBELET, "files": {"/etc/sysctl.conf": "vm.overcommit_memory=1"}},
        "/etc/sysctl.conf:1 sets it",
    ),
}


@pytest.mark.parametrize(("key", "got", "node", "who"), CASES.values(), ids=CASES)
def test_who_may_have_written_a_key(key: str, got: str, node: dict[str, Any], who: str) -> None:
    assert LikelyWriters(facts(**node)).explain(key, got) == who


def test_a_drift_has_its_likely_writer_beside_it() -> None:
    node = facts({"kernel.panic": "10"}, **KUBELET)
    item = diff(resolve([rendered("kernel.panic = 5")], node), node).items[0]
    assert item.status is ItemStatus.DRIFT
    assert item.why.startswith("likely kubelet")


EVERYBODY: dict[str, Any] = {
    "hidden": ["/run/systemd/netif/links", "/var/lib/kubelet", "/run/docker", "/etc/cni/net.d", "/run/calico"]
}


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("net.ipv4.ip_forward", "0"),
        ("net.ipv4.conf.all.forwarding", "0"),
        ("net.ipv6.conf.eth0.forwarding", "0"),
        ("net.ipv6.conf.all.accept_ra", "1"),
        ("net.netfilter.nf_conntrack_tcp_timeout_established", "432000"),
        ("net.netfilter.nf_conntrack_tcp_timeout_close_wait", "60"),
        ("net.netfilter.nf_conntrack_tcp_be_liberal", "0"),
    ],
)
def test_the_kernels_own_default_is_nobodys_work(key: str, default: str) -> None:
    assert LikelyWriters(facts(**EVERYBODY)).explain(key, default) == "the kernel's default"


@pytest.mark.parametrize(
    ("key", "got"),
    [("net.ipv4.vs.conn_reuse_mode", "1"), ("net.ipv4.conf.all.forwarding", "2"), ("net.ipv4.vs.am_droprate", "10")],
)
def test_a_value_that_no_writer_writes_has_no_suspect(key: str, got: str) -> None:
    assert LikelyWriters(facts(**EVERYBODY)).explain(key, got) == ""


def test_a_file_that_sets_the_default_is_named_all_the_same() -> None:
    node = facts(files={"/etc/sysctl.d/a.conf": "net.ipv4.ip_forward = 0"})
    assert LikelyWriters(node).explain("net.ipv4.ip_forward", "0") == "/etc/sysctl.d/a.conf:1 sets it"
