"""Changes to the units of systemd: what leaves their work as it is, and what makes the next boot unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.boot.inits import SYSCTL_UNIT
from tasks.core.boot.simulation import NextBoot
from tasks.core.boot.units import find_unit_changes
from tasks.core.facts import Facts, UnitState
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import diff
from tasks.core.result import NodeResult
from tasks.node.conversation import Conversation
from tasks.node.steps import verify_host
from tests.support.boots import facts as boot_facts
from tests.support.builders import host, profile
from tests.support.shells import Machine, no_namespaces
from tests.support.steps import work

UNIT, FOLDER = f"/etc/systemd/system/{SYSCTL_UNIT}", f"/etc/systemd/system/{SYSCTL_UNIT}.d"
SHIPPED_SETTER = """[Unit]
Description=Apply Kernel Variables
DefaultDependencies=no
Conflicts=shutdown.target
After=systemd-modules-load.service
Before=sysinit.target shutdown.target
ConditionPathIsReadWrite=/proc/sys/net/
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/lib/systemd/systemd-sysctl
TimeoutSec=90s
LoadCredential=sysctl.extra
"""


def node(path: str, text: str | None, state: UnitState) -> Facts:
    """A node with a file of the admin's; None: there, and not readable."""
    known = boot_facts({}, units={FOLDER if state is UnitState.ALTERED else path: state})
    if text is None:
        return replace(known, present=known.present | {path})
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return replace(known, values={**known.values, path: ""}, numbered={path: lines})


@pytest.mark.parametrize(
    "text",
    ["[Unit]\nAfter=network-online.target\nWants = network-online.target", "[Service]\nTimeoutStartSec=5min", ""],
)
def test_a_drop_in_that_only_orders_the_unit_changes_nothing(text: str) -> None:
    assert list(find_unit_changes(node(f"{FOLDER}/a.conf", text, UnitState.ALTERED))) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("[Service]\nExecStart=\nExecStart=/bin/true", 2),
        ("[Unit]\nAfter=x\nConditionPathExists=/nowhere", 3),
        ("[Unit]\nDefaultDependencies=yes", 2),
        ("[Service]\nExecStartPost=/sbin/sysctl -w vm.x=1", 2),
        ("[Service]\nReadOnlyPaths=/proc/sys", 2),
        ("something", 1),
    ],
)
def test_a_drop_in_that_may_change_the_work_is_named_with_its_line(text: str, number: int) -> None:
    (line,) = find_unit_changes(node(f"{FOLDER}/a.conf", text, UnitState.ALTERED))
    assert (line.path, line.number) == (f"{FOLDER}/a.conf", number)


def test_an_own_unit_that_is_systemds_own_text_changes_nothing() -> None:
    assert list(find_unit_changes(node(UNIT, SHIPPED_SETTER, UnitState.PRESENT))) == []


@pytest.mark.parametrize("program", ["/bin/true", "/lib/systemd/systemd-modules-load", "/lib/systemd/systemd-sysctl x"])
def test_an_own_unit_that_starts_another_program_is_named(program: str) -> None:
    text = SHIPPED_SETTER.replace("/lib/systemd/systemd-sysctl", program)
    (line,) = find_unit_changes(node(UNIT, text, UnitState.PRESENT))
    assert line.text == f"ExecStart={program}"


def test_a_unit_of_a_package_is_no_change_and_one_that_cannot_be_read_is() -> None:
    assert list(find_unit_changes(boot_facts({}))) == []
    (line,) = find_unit_changes(node(UNIT, None, UnitState.PRESENT))
    assert (line.path, line.number) == (UNIT, 0)


def test_a_changed_unit_is_an_item_that_does_not_pass() -> None:
    known = node(f"{FOLDER}/a.conf", "[Service]\nExecStart=/bin/true", UnitState.ALTERED)
    (item,) = diff(resolve([], known), known, NextBoot(known, known.files)).items
    assert (str(item.status), item.name) == ("boot-drift", f"{FOLDER}/a.conf")
    assert item.got == f"{FOLDER}/a.conf:2: ExecStart=/bin/true"
    assert "remove it" in item.next_step
    assert diff(resolve([], known), known).items == ()  # a fix that does not last asks nothing of the next boot


def test_without_systemd_its_units_do_not_matter() -> None:
    known = node(UNIT, "ExecStart=/bin/true", UnitState.PRESENT)
    other = replace(known, present=frozenset({"/run/openrc"}))
    assert NextBoot(other, {}).unit_changes() == ()


real = pytest.mark.skipif(no_namespaces(), reason="user namespaces are not allowed here")


def verified(machine: Machine) -> NodeResult:
    context = work(profile("vm.x = 1\n"), only="sysctl")
    with machine.open() as channel:
        return verify_host(Conversation(channel), host(), context)


@real
@pytest.mark.parametrize(
    ("path", "text", "wrong"),
    [
        (f"{FOLDER}/a.conf", "[Service]\nExecStart=\n", True),
        (f"{FOLDER}/a.conf", "# a comment\n[Unit]\nAfter=x.service\n", False),
        (f"{FOLDER}/a.txt", "[Service]\nExecStart=\n", False),
        ("/etc/systemd/system/service.d/all.conf", "[Service]\nReadOnlyPaths=/proc\n", True),
    ],
)
def test_a_real_shell_finds_what_the_admin_has_written(tmp_path: Path, path: str, text: str, wrong: bool) -> None:
    machine = Machine(tmp_path / "node", keys={"vm.x": "1"})
    machine.write(path[1:], text)
    found = {item.name for item in verified(machine).items if item.status == "boot-drift"}
    assert (path in found) is wrong
