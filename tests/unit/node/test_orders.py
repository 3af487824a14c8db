"""The lines that a plan becomes, to the letter."""

from __future__ import annotations

import pytest

from tasks.core.facts import Line
from tasks.core.ownfiles import RenderedFile
from tasks.core.plan.diff import Plan, Undo
from tasks.core.plan.writers import EVIDENCE_PATHS
from tasks.node import orders as instructions
from tasks.node.orders import COMMON_PATHS
from tests.support.builders import MODULES, SYSCTL, facts


def test_a_probe_looks_at_what_is_looked_at_everywhere_and_at_what_is_wanted() -> None:
    lines = instructions.probe(["net.ipv4.ip_forward", "vm.x", "vm.x"], ["br-netfilter", "br_netfilter", "overlay"])
    assert lines == [
        *(f"look {path}" for path in (*COMMON_PATHS, *EVIDENCE_PATHS)),
        "look /proc/sys/net/ipv4/ip_forward",
        "look /proc/sys/vm/x",
        "unit systemd-modules-load.service",
        "unit systemd-sysctl.service",
        "want br_netfilter br[-_]netfilter",
        "want overlay overlay",
        "scan",
    ]


@pytest.mark.parametrize(("unloaded", "uid", "again"), [((), 0, "rescan"), (("ip_vs",), 0, "scan"), ((), 1000, "scan")])
def test_a_second_look_asks_for_modules_anew_where_some_were_unloaded_or_root_may_see_more(
    unloaded: tuple[str, ...], uid: int, again: str
) -> None:
    probe, plan = instructions.probe(["vm.x"], ["overlay"]), Plan((), undo=Undo(modules=unloaded))
    assert instructions.readback_probe(probe, plan, facts(uid=uid)) == [*probe[:-1], again]


def test_a_plan_is_carried_out_in_the_order_that_works() -> None:
    plan = Plan(
        items=(),
        files=(RenderedFile("/etc/a.conf", ("# a", "", "  b")), RenderedFile("/etc/b.conf", ())),
        modules=("ip_vs", "br-netfilter"),
        sysctl_files=("/etc/sysctl.d/a.conf", "/etc/sysctl.d/b.conf"),
        keys=(("net.ipv4.ip_forward", "1"), ("net.ipv4.conf.eth0/1.x", "1 2 3")),
    )
    assert instructions.apply_instructions(plan) == [
        "file /etc/a.conf",
        "|# a",
        "|",
        "|  b",
        "keep /etc/a.conf",
        "file /etc/b.conf",
        "keep /etc/b.conf",
        "placed",
        "loads ip_vs br-netfilter",
        "load ip_vs",
        "load br-netfilter",
        "sysctl /etc/sysctl.d/a.conf",
        "sysctl /etc/sysctl.d/b.conf",
        "set /proc/sys/net/ipv4/ip_forward 1",
        "set /proc/sys/net/ipv4/conf/eth0.1/x 1 2 3",
    ]


def test_an_empty_plan_has_no_instructions() -> None:
    assert instructions.apply_instructions(Plan(())) == []


OURS, OTHER = SYSCTL.format("p"), MODULES.format("p")


LINE = Line("/etc/sysctl.d/x.conf", 2, "a = 1")


def test_orders_put_files_back_first_and_unload_last() -> None:
    plan = Plan(
        (),
        keys=(("vm.x", "1"),),
        undo=Undo(((OURS, "/c"), (OTHER, "")), (LINE,), (("vm.y", "2"),), ("a", "b"), ("/etc/sysctl.d",)),
    )
    assert instructions.apply_instructions(plan) == [
        f"restore {OURS} /c",
        f"remove {OTHER}",
        "enable /etc/sysctl.d/x.conf 2 a = 1",
        "set /proc/sys/vm/y 2",
        "set /proc/sys/vm/x 1",
        "unload a b",
        "rmdir /etc/sysctl.d",
    ]


def test_what_is_looked_at_everywhere_is_absolute_and_named_once() -> None:
    assert all(path.startswith(("/proc/", "/run/", "/sys/", "/.dockerenv")) for path in COMMON_PATHS)
    assert len(set(COMMON_PATHS)) == len(COMMON_PATHS)
