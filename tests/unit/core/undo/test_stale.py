"""What left a profile: reported, and on apply as it was before we came."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.facts import Facts
from tasks.core.ownfiles import with_header
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import Plan, Undo
from tasks.core.result import Item, ItemStatus, Status
from tasks.core.undo.snapshot import PriorState
from tasks.core.undo.stale import Stale, find_stale, stale_items, with_removals
from tasks.node import steps as node
from tests.support.builders import MODULES, SYSCTL, facts, profile, rendered
from tests.support.shells import Machine
from tests.support.steps import (
    back,
    needs_namespaces,
    on,
    work,
)


def ours(name: str, *lines: str, modules: bool = False) -> dict[str, str]:
    """A file of ours on a node."""
    file = with_header((MODULES if modules else SYSCTL).format(name), name, lines)
    return {file.path: "\n".join(file.lines) + "\n"}


NODE = {
    **ours("p", "vm.x = 1", "vm.y = 2", "vm.z = 3"),
    **ours("p", "br_netfilter", "ip-vs", "dummy", modules=True),
    **ours("old", "vm.w = 4"),
    **ours("zz-fix", "vm.z = 5"),
    **ours("zz-fix", "dummy", modules=True),
    "/etc/sysctl.d/99-zz-nodeprep-mine.conf": "vm.v = 1\n",
    "/etc/sysctl.d/other.conf": "# sha256 of the lines below: x\nvm.u = 1\n",
}


def found(only: str = "", **more: str) -> Stale:
    """What is stale on a node where only vm.x and br_netfilter are still wanted."""
    node = facts({"vm.x": "1"}, files={**NODE, **more}, loaded=["br_netfilter"])
    sysctl, modules = None if only == "modules" else "vm.x = 1\n", None if only == "sysctl" else "br_netfilter\n"
    return find_stale(resolve([rendered(sysctl, modules)], node), node, only)


def test_what_no_profile_wants_any_more_is_stale_but_for_repairs_and_other_peoples_files() -> None:
    assert found() == Stale(
        files=(SYSCTL.format("old"),),
        keys={"vm.y": SYSCTL.format("p"), "vm.w": SYSCTL.format("old")},
        modules={"ip_vs": MODULES.format("p")},
    )


@pytest.mark.parametrize("only", ["sysctl", "modules"])
def test_with_only_one_half_the_other_is_left_alone(only: str) -> None:
    stale = found(only)
    assert bool(stale.modules) is (only == "modules")
    assert bool(stale.keys or stale.files) is (only == "sysctl")


def test_what_cannot_be_a_key_or_a_module_is_none() -> None:
    more = {**ours("evil", "../../etc/shadow = 1", "a b = 1"), **ours("evil", "$(reboot)", modules=True)}
    assert set(found(**more).keys) == {"vm.y", "vm.w"}
    assert set(found(**more).modules) == {"ip_vs"}


def test_a_node_as_its_profiles_want_it_has_nothing_stale() -> None:
    clean = facts({"vm.x": "1"}, files=ours("p", "vm.x = 1"))
    assert not find_stale(resolve([rendered("vm.x = 1\n")], clean), clean)


def test_what_is_optional_and_not_in_this_kernel_any_more_is_still_wanted() -> None:
    node = facts(files={**ours("p", "vm.x = 1"), **ours("p", "ip-vs", modules=True)})
    desired = resolve([rendered("-vm.x = 1\n", "-ip-vs\n")], node)
    assert (desired.skipped_keys, desired.skipped_modules) == (("vm.x",), ("ip-vs",))
    assert not find_stale(desired, node)


def test_it_is_told_as_what_apply_will_take_back() -> None:
    items = stale_items(found(), to_do=True)
    assert {item.name for item in items} == {"ip_vs", "vm.y", "vm.w", SYSCTL.format("old")}
    assert all(item.status is ItemStatus.DRIFT and "apply" in item.next_step for item in items)


PAST = PriorState(keys={"vm.y": "0"}, modules=("ip_vs",))


def taken(node: Facts) -> tuple[Plan, dict[str, Item]]:
    plan = with_removals(Plan(()), found(), PAST, node)
    return plan, {item.name: item for item in plan.items}


def test_what_is_known_is_taken_back_and_what_is_not_is_left_and_said() -> None:
    plan, items = taken(facts({"vm.y": "2", "vm.w": "4"}, files=NODE, loaded=["ip_vs"]))
    assert plan.undo == Undo(files=((SYSCTL.format("old"), ""),), keys=(("vm.y", "0"),), modules=("ip_vs",))
    assert (items["vm.w"].status, items["vm.w"].got) == (ItemStatus.ADVISORY, "4")
    assert "not known" in items["vm.w"].why


def test_a_module_that_is_in_use_stays_and_is_no_failure() -> None:
    node = facts({"vm.y": "0", "vm.w": "4"}, loaded=["ip_vs"], complaints=["unload ip_vs 1 in use by ip_vs_rr"])
    plan, items = taken(node)
    assert (plan.undo, items["ip_vs"].status) == (Undo(), ItemStatus.ADVISORY)
    assert "in use by ip_vs_rr" in items["ip_vs"].why


def test_a_module_that_was_there_before_us_is_left_alone() -> None:
    plan = with_removals(Plan(()), found(), replace(PAST, modules=()), facts(loaded=["ip_vs"]))
    assert plan.undo.modules == ()


RMMOD = 'grep -v "^$1 " /proc/modules >/m; cat /m >/proc/modules; rm /m'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "node", uid=1000, keys={"vm.x": "0", "vm.y": "5", "vm.z": "9"})
    made.module("dummy")
    made.program("rmmod", RMMOD)
    return made


@needs_namespaces
def test_a_key_and_a_module_that_left_the_profile_go_back_to_what_they_were(machine: Machine) -> None:
    full, less = work(profile("vm.x = 1\nvm.y = 6\n", "dummy\n")), work(profile("vm.x = 1\n", "# none\n"))
    assert on(machine, node.apply_host, full).status is Status.CHANGED
    planned = on(machine, node.plan_host, less)
    assert {item.name for item in planned.items if item.status is ItemStatus.DRIFT} >= {"vm.y", "dummy"}
    assert {item.name for item in on(machine, node.verify_host, less).items if item.status is ItemStatus.ADVISORY} >= {
        "vm.y",
        "dummy",
    }
    done = on(machine, node.apply_host, less)
    assert (done.status, machine.key("vm.x"), machine.key("vm.y")) == (Status.CHANGED, "1", "5"), done
    assert machine.read("proc/modules") == ""
    assert on(machine, node.apply_host, less).status is Status.OK
    assert on(machine, node.plan_host, less).status is Status.OK
    assert back(machine).status is Status.CHANGED
    assert (machine.key("vm.y"), "dummy" in machine.read("proc/modules")) == ("6", True)


@needs_namespaces
def test_a_key_and_a_module_that_were_as_wanted_from_the_start_are_as_before_when_they_leave_the_profile(
    machine: Machine,
) -> None:
    """The snapshots go back to the time before our files, and hold neither: nodeprep has never changed them."""
    machine.write("proc/modules", "dummy 16384 0 - Live 0x0\n")
    full, less = work(profile("vm.x = 1\nvm.y = 5\n", "dummy\n")), work(profile("vm.x = 1\n", "# none\n"))
    assert on(machine, node.apply_host, full).status is Status.CHANGED
    done = on(machine, node.apply_host, less)
    found = {item.name: (item.status, item.got, item.why) for item in done.items if item.name in ("vm.y", "dummy")}
    assert found == {"vm.y": (ItemStatus.OK, "5", ""), "dummy": (ItemStatus.OK, "loaded", "")}
    assert (machine.key("vm.y"), machine.read("proc/modules").split()[0]) == ("5", "dummy")


@needs_namespaces
def test_without_the_snapshots_from_before_our_files_it_is_said_that_it_is_not_known(machine: Machine) -> None:
    machine.write("proc/modules", "dummy 16384 0 - Live 0x0\n")
    full, less = work(profile("vm.x = 1\nvm.y = 5\n", "dummy\n")), work(profile("vm.x = 1\n", "# none\n"))
    assert on(machine, node.apply_host, full).status is Status.CHANGED
    shutil.rmtree(machine.root / "var/lib/nodeprep")
    done = on(machine, node.apply_host, less)
    found = {item.name: (item.status, "not known" in item.why) for item in done.items if item.name in ("vm.y", "dummy")}
    assert found == {"vm.y": (ItemStatus.ADVISORY, True), "dummy": (ItemStatus.ADVISORY, True)}


@needs_namespaces
def test_a_profile_that_is_no_longer_chosen_loses_its_files(machine: Machine) -> None:
    both = work(profile("vm.x = 1\n", name="a"), profile("vm.z = 8\n", "dummy\n", name="b"))
    assert on(machine, node.apply_host, both).status is Status.CHANGED
    done = on(machine, node.apply_host, work(profile("vm.x = 1\n", name="a"), replace_profiles=True))
    assert done.status is Status.CHANGED, done
    assert sorted(path.name for path in machine.root.rglob("etc/**/*.conf")) == [Path(SYSCTL.format("a")).name]
    assert (machine.key("vm.x"), machine.key("vm.z"), machine.read("proc/modules")) == ("1", "9", "")


@needs_namespaces
def test_the_value_from_before_us_is_known_after_more_changes_than_are_kept(machine: Machine) -> None:
    for value in range(10, 24):
        assert on(machine, node.apply_host, work(profile(f"vm.x = 1\nvm.y = {value}\n"))).status is Status.CHANGED
    assert len(list((machine.root / "var/lib/nodeprep").iterdir())) == 10
    assert on(machine, node.apply_host, work(profile("vm.x = 1\n"))).status is Status.CHANGED
    assert machine.key("vm.y") == "5"
