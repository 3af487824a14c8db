"""FileContent: the keys that have to be 1."""

from __future__ import annotations

import pytest

from tasks.core.host import Host
from tests.support.builders import host
from tests.support.kubeadm import findings, run_checks

FORWARD = "FileContent--proc-sys-net-ipv4-ip_forward"


FORWARD6 = "FileContent--proc-sys-net-ipv6-conf-default-forwarding"


BRIDGE = "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"


@pytest.mark.parametrize(
    ("on", "names"),
    [
        (host(), {FORWARD}),
        (host(ipv6_stack="true"), {FORWARD, FORWARD6}),
        (host(enable_dual_stack_networks=True), {FORWARD, FORWARD6}),
        (host(ipv6_stack=True, ipv4_stack=False), {FORWARD6}),
        (host(kube_network_plugin="flannel"), {FORWARD, BRIDGE}),
        (host(CLUSTER_NETWORK="flannel"), {FORWARD, BRIDGE}),
        (host(kube_network_plugin="calico"), {FORWARD}),
        (host(kube_network_plugin="calico", kube_version="1.29.9"), {FORWARD, BRIDGE}),
        (host(kube_version="v1.30.0"), {FORWARD}),
    ],
)
def test_the_keys_that_have_to_be_1_are_those_of_the_chosen_network(on: Host, names: set[str]) -> None:
    items = run_checks({"net.ipv4.ip_forward": "0", "net.ipv6.conf.default.forwarding": "0"}, on=on)
    assert {name for name in items if name.startswith("FileContent-")} == names == set(findings(items))
    assert all(items[name].next_step.startswith("fab -H NODE fix ") for name in names)


@pytest.mark.parametrize("module", ["br_netfilter", "br-netfilter"])
def test_a_profile_that_loads_br_netfilter_has_its_key_checked_too(module: str) -> None:
    key = "net.bridge.bridge-nf-call-iptables"
    assert findings(run_checks(modules=f"{module}\n", loadable=["br_netfilter"])) == {BRIDGE: "drift"}
    assert findings(run_checks({key: "1"}, modules=f"{module}\n", loaded=["br_netfilter"])) == {}
    item = run_checks({key: "0"}, sysctl=f"{key} = 1\n", loaded=["br_netfilter"])[BRIDGE]
    assert (str(item.status), item.why) == ("skipped", f"the profile has it: see {key}")


@pytest.mark.parametrize("now", ["0", "1"])
@pytest.mark.parametrize(
    "line", ["net.ipv4.ip_forward = 0", "net.ipv4.conf.all.forwarding = 0", "net/ipv4/ip_forward = 2"]
)
def test_a_profile_that_sets_what_kubeadm_refuses_is_drift(line: str, now: str) -> None:
    """2 is what the kernel takes, and kubeadm compares with 1."""
    values = {"net.ipv4.ip_forward": now, "net.ipv4.conf.all.forwarding": now}
    item = run_checks({**values}, sysctl=f"{line}\n")[FORWARD]
    assert (str(item.status), item.got) == ("drift", now)
    assert item.why.startswith("the profile sets net.ipv4.")
    assert item.next_step == "net.ipv4.ip_forward = 1 belongs into the profile; then apply"


@pytest.mark.parametrize(
    ("line", "now", "status"),
    [
        ("net.ipv4.ip_forward = 1", "0", "skipped"),
        ("net.ipv4.ip_forward = 1", "1", "ok"),
        ("net.ipv4.conf.all.forwarding = 1", "0", "skipped"),
        ("net.ipv4.ip_forward >= 0", "1", "ok"),
        ("net.ipv4.ip_forward >= 0", "0", "drift"),
        ("net.ipv4.ip_forward >= 1", "0", "skipped"),
    ],
)
def test_a_profile_that_sets_what_kubeadm_wants_reports_it_itself(line: str, now: str, status: str) -> None:
    values = {"net.ipv4.ip_forward": now, "net.ipv4.conf.all.forwarding": now}
    assert str(run_checks({**values}, sysctl=f"{line}\n")[FORWARD].status) == status
