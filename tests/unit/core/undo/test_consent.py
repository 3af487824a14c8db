"""Consent: nothing of a node in use, and no whole profile, is taken back by a wrong or forgotten --profile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.result import NodeResult
from tasks.core.undo.consent import describe_use, find_users, profiles_taken_back, refuse_profiles
from tasks.core.undo.stale import Stale
from tasks.node import steps
from tests.support.builders import facts, profile
from tests.support.shells import Machine
from tests.support.steps import needs_namespaces, on, read_snapshots, shown_snapshot, statuses, work

JOINED = ("/etc/kubernetes/kubelet.conf",)
ONE_KEY = Stale(keys={"vm.x": "/etc/sysctl.d/x"})


def gone(*modules: str) -> Stale:
    return Stale(modules=dict.fromkeys(modules, "/etc/modules-load.d/x"))


IP_VS = [
    "IP Virtual Server version 1.2.1 (size=4096)",
    "Prot LocalAddress:Port Scheduler Flags",
    "  -> RemoteAddress:Port",
]
USES: dict[str, tuple[Stale, dict[str, object], str]] = {
    "a cluster": (ONE_KEY, {"hidden": JOINED}, "it has joined a cluster (/etc/kubernetes/kubelet.conf)"),
    "a bridge": (gone("br_netfilter"), {"hidden": ["/sys/class/net/cni0/bridge"]}, "br_netfilter has the bridge cni0"),
    "a bridge, and another module": (gone("overlay"), {"hidden": ["/sys/class/net/cni0/bridge"]}, ""),
    "connections": (
        gone("nf_conntrack"),
        {"values": {"/proc/sys/net/netfilter/nf_conntrack_count": "7"}},
        "nf_conntrack tracks 7 connections",
    ),
    "no connections": (gone("nf_conntrack"), {"values": {"/proc/sys/net/netfilter/nf_conntrack_count": "0"}}, ""),
    "services": (
        gone("ip_vs_rr"),
        {"values": {"/proc/net/ip_vs": "\n".join([*IP_VS, "TCP  0A600001:01BB rr"])}},
        "ip_vs has services",
    ),
    "no services": (gone("ip_vs"), {"values": {"/proc/net/ip_vs": "\n".join(IP_VS)}}, ""),
    "mounts": (gone("overlay"), {"values": {"/proc/mounts": "overlay /run/x overlay rw 0 0"}}, "overlay has mounts"),
    "a mount with that name": (gone("overlay"), {"values": {"/proc/mounts": "overlay /mnt ext4 rw 0 0"}}, ""),
    "nothing": (ONE_KEY, {}, ""),
    "nothing to set back or to unload": (Stale(files=("/etc/x",)), {"hidden": JOINED}, ""),
}


@pytest.mark.parametrize(("stale", "node", "use"), USES.values(), ids=USES)
def test_the_uses_of_a_node_that_a_count_does_not_show(stale: Stale, node: dict[str, object], use: str) -> None:
    assert describe_use(stale, facts(**node), JOINED) == use  # type: ignore[arg-type]


def test_only_the_users_of_what_would_go_are_asked_for() -> None:
    assert find_users(ONE_KEY, JOINED) == ["find /etc/kubernetes/kubelet.conf"]
    assert find_users(gone("br_netfilter"), ()) == ["find /sys/class/net/*/bridge"]
    assert find_users(gone("ip_vs_sh"), ()) == ["look /proc/net/ip_vs"]


def test_a_profile_is_taken_back_if_the_run_does_not_name_it() -> None:
    files = ("/etc/sysctl.d/99-zz-nodeprep-mine.conf", "/etc/modules-load.d/nodeprep-kubernetes.conf")
    assert profiles_taken_back(Stale(files=files), ["kubernetes"]) == ["mine"]
    assert profiles_taken_back(Stale(files=files), ["kubernetes", "mine"]) == []


def test_who_applied_a_profile_is_read_from_the_nodes_history() -> None:
    runs = [
        shown_snapshot(1, "profile mine 0123456789ab", run="20261125-021502-a3f1"),
        shown_snapshot(2, "profile mine 0123456789ab", "profile other 0123456789ab", run="20261126-021502-a3f1"),
        shown_snapshot(3, "profile third 0123456789ab", run="20261127-021502-a3f1"),
    ]
    problem, step = refuse_profiles(["mine"], ["cilium"], read_snapshots(*runs))
    assert problem == "the node has the profile mine, applied by anna@laptop on 2026-11-26 02:15:02 UTC"
    assert step == "add it (--profile cilium,mine), or take it back (--replace)"
    assert refuse_profiles(["x", "y"], ["cilium"], ())[0] == "the node has the profiles x and y"


# On a node with a real shell

MINE, CILIUM = profile("vm.x = 1\n", "br_netfilter\n", name="mine"), profile("vm.y = 1\n", name="cilium")
SMALLER = profile("vm.y = 2\n", name="mine")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node to which anna has applied the profile mine."""
    made = Machine(tmp_path / "node", keys={"vm.x": "0", "vm.y": "0"})
    made.module("br_netfilter")
    assert on(made, steps.apply_host, work(MINE)).status == "changed"
    return made


def refused(result: NodeResult, machine: Machine) -> bool:
    """Check that a node was refused before any change."""
    assert (result.status == "failed") is (machine.key("vm.x") == "1" and machine.key("vm.y") == "0")
    return result.status == "failed"


@needs_namespaces
def test_a_run_that_does_not_name_a_profile_is_refused_before_any_change(machine: Machine) -> None:
    result = on(machine, steps.apply_host, work(CILIUM))
    assert refused(result, machine)
    assert result.problem == "the node has the profile mine, applied by anna@laptop on 2026-11-25 02:15:02 UTC"
    assert result.next_step == "add it (--profile cilium,mine), or take it back (--replace)"
    plan = on(machine, steps.plan_host, work(CILIUM))
    assert plan.notes[-1].startswith("apply will refuse this: the node has the profile mine: add it")


@needs_namespaces
@pytest.mark.parametrize("replaced", [True, False], ids=["--replace", "--profile cilium,mine"])
def test_it_is_taken_back_or_kept_as_the_admin_says(machine: Machine, replaced: bool) -> None:
    profiles = [CILIUM] if replaced else [CILIUM, MINE]
    assert not refused(on(machine, steps.apply_host, work(*profiles, replace_profiles=replaced)), machine)
    assert machine.key("vm.x") == ("0" if replaced else "1")


@needs_namespaces
def test_a_node_that_has_joined_keeps_its_settings_without_yes(machine: Machine) -> None:
    machine.write("etc/kubernetes/kubelet.conf", "token: secret\n")
    result = on(machine, steps.apply_host, work(SMALLER))
    assert refused(result, machine)
    assert result.problem == (
        "the node is in use: it has joined a cluster (/etc/kubernetes/kubelet.conf);"
        " the run would take back br_netfilter, vm.x"
    )
    assert "--yes" in result.next_step
    assert any(
        "apply will refuse this: the node is in use" in note
        for note in on(machine, steps.plan_host, work(SMALLER)).notes
    )
    done = on(machine, steps.apply_host, work(SMALLER, confirmed=True))
    assert not refused(done, machine)
    assert statuses(done)["vm.x"] == "changed"


@needs_namespaces
def test_br_netfilter_stays_under_a_bridge_without_yes(machine: Machine) -> None:
    machine.write("sys/class/net/cni0/bridge/x", "")
    result = on(machine, steps.apply_host, work(SMALLER))
    assert refused(result, machine)
    assert "br_netfilter has the bridge cni0" in result.problem


@needs_namespaces
def test_a_node_that_is_not_in_use_needs_no_word_for_a_smaller_profile(machine: Machine) -> None:
    assert on(machine, steps.apply_host, work(SMALLER)).status == "changed"
    assert (machine.key("vm.x"), machine.key("vm.y")) == ("0", "2")


@needs_namespaces
def test_replace_alone_takes_nothing_back_from_a_node_in_use(machine: Machine) -> None:
    machine.write("etc/kubernetes/kubelet.conf", "token: secret\n")
    job = work(CILIUM, replace_profiles=True)
    assert refused(on(machine, steps.apply_host, job), machine)
    assert on(machine, steps.apply_host, replace(job, confirmed=True)).status == "changed"
