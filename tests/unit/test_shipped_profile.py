"""The profile that is shipped: the recipe's keys and modules, and the lines that make them safe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.core.profile.profile import RenderedProfile
from tasks.core.profile.template import Source, check_names
from tasks.core.profile.variables import SAMPLE
from tests.support.builders import rendered

SHIPPED = Path(__file__).resolve().parents[2] / "templates" / "kubernetes"


RECIPE_MODULES = {"overlay", "br_netfilter", "nf_conntrack_ipv4"} | {
    f"ip_vs{scheduler}" for scheduler in ("", "_rr", "_wrr", "_wlc", "_sh")
}


RECIPE = {
    "kernel.sysrq": "0",
    "kernel.core_uses_pid": "1",
    "kernel.msgmnb": "65536",
    "kernel.msgmax": "65536",
    "kernel.shmmax": "68719476736",
    "kernel.shmall": "4294967296",
    "fs.file-max": "1000000",
    "vm.max_map_count": "500000",
    "net.core.netdev_max_backlog": "32768",
    "net.core.somaxconn": "32768",
    "net.core.wmem_default": "8388608",
    "net.core.rmem_default": "8388608",
    "net.core.wmem_max": "16777216",
    "net.core.rmem_max": "16777216",
    "net.netfilter.nf_conntrack_max": "2310720",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
    "net.ipv4.ip_forward": "1",
    "net.ipv4.tcp_fin_timeout": "30",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.tcp_max_syn_backlog": "1024",
    "net.ipv4.tcp_synack_retries": "2",
    "net.ipv4.tcp_max_tw_buckets": "3000",
    "net.ipv4.tcp_mem": "94500000 915000000 927000000",
    "net.ipv4.tcp_max_orphans": "3276800",
    "net.ipv4.tcp_keepalive_time": "1200",
    "net.ipv4.tcp_keepalive_intvl": "30",
    "net.ipv4.tcp_keepalive_probes": "3",
    "net.ipv4.ip_local_port_range": "1024 65535",
    "net.ipv4.conf.lo.arp_announce": "2",
    "net.ipv4.conf.all.arp_announce": "2",
}


OURS = {
    "net.netfilter.nf_conntrack_buckets": "577680",
    "net.ipv4.ip_local_reserved_ports": "2379-2380,6443,10248-10250,10256-10257,10259,30000-32767",
}


# Where the recipe's number is below what modern kernels or systemd give by themselves.
ONLY_EVER_RAISED = {
    "kernel.shmmax",
    "kernel.shmall",
    "fs.file-max",
    "vm.max_map_count",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    *OURS,
}


def shipped(**variables: Any) -> RenderedProfile:
    texts = [(SHIPPED / f"{part}.conf.j2").read_text(encoding="utf-8") for part in ("sysctl", "modules-load")]
    return rendered(*texts, name="kubernetes", **{"facts": dict(SAMPLE), **variables})


def test_the_shipped_profile_has_the_recipes_31_keys_and_two_that_make_them_safe() -> None:
    found = {entry.key: entry.value for entry in shipped().sysctl_entries()}
    assert len(RECIPE) == 31
    assert found == RECIPE | OURS


def test_the_shipped_profile_never_lowers_what_kernels_give_by_themselves() -> None:
    assert {entry.key for entry in shipped().sysctl_entries() if entry.minimum} == ONLY_EVER_RAISED


def test_only_sysrq_may_be_missing_from_a_kernel() -> None:
    assert [entry.key for entry in shipped().sysctl_entries() if entry.optional] == ["kernel.sysrq"]


def test_ports_are_reserved_before_the_range_that_covers_them() -> None:
    keys = [entry.key for entry in shipped().sysctl_entries()]
    assert keys.index("net.ipv4.ip_local_reserved_ports") < keys.index("net.ipv4.ip_local_port_range")
    assert keys[0] == "net.ipv4.ip_forward"


@pytest.mark.parametrize("variable", ["kube_apiserver_node_port_range", "NODE_PORT_RANGE"])
def test_the_reserved_ports_follow_the_inventorys_node_ports(variable: str) -> None:
    found = {entry.key: entry.value for entry in shipped(**{variable: "20000-22767"}).sysctl_entries()}
    assert found["net.ipv4.ip_local_reserved_ports"].endswith(",20000-22767")


@pytest.mark.parametrize("variables", [{}, {"kube_proxy_mode": "ipvs"}], ids=["by default", "in ipvs mode"])
def test_the_shipped_profile_has_the_recipes_8_modules(variables: Mapping[str, object]) -> None:
    found = shipped(**variables).module_entries()
    assert len(RECIPE_MODULES) == len(found) == 8
    assert {entry.candidates[-1] for entry in found} == RECIPE_MODULES
    assert [entry.candidates for entry in found if len(entry.candidates) > 1] == [("nf_conntrack", "nf_conntrack_ipv4")]
    assert not any(entry.optional for entry in found)


@pytest.mark.parametrize("mode", ["iptables", "nftables", "none"])
def test_the_modules_of_ipvs_are_for_its_mode_only(mode: str) -> None:
    found = [entry.candidates[0] for entry in shipped(kube_proxy_mode=mode).module_entries()]
    assert found == ["overlay", "br_netfilter", "nf_conntrack"]


def test_each_line_of_the_shipped_profile_stands_under_a_comment_that_explains_it() -> None:
    """A comment may speak for a run of lines without a blank between them."""
    for part in (shipped().sysctl, shipped().modules):
        explained = False
        for line in part or ():
            explained = line.startswith("#") or (explained and line != "") if isinstance(line, str) else explained
            assert isinstance(line, str) or explained, line


@pytest.mark.parametrize("part", ["sysctl.conf.j2", "modules-load.conf.j2"])
def test_the_shipped_templates_use_only_names_that_are_known(part: str) -> None:
    check_names(Source(part, (SHIPPED / part).read_text(encoding="utf-8")), {"facts"})
