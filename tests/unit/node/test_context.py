"""What a command wants of each host, rendered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.core.profile.entries import format_entry
from tasks.node import steps as node
from tests.support.builders import host, profile
from tests.support.shells import Machine
from tests.support.steps import (
    needs_namespaces,
    on,
    work,
)


@needs_namespaces
@pytest.mark.parametrize("only", ["modules", "sysctl"])
def test_only_one_half_is_looked_at_and_changed(only: str, machine: Machine) -> None:
    done = on(machine, node.apply_host, replace(work(profile("vm.x = 1\n", "br_netfilter\n")), only=only))
    assert {str(item.kind) for item in done.items} == {"file", "module" if only == "modules" else "sysctl"}
    assert machine.key("vm.x") == ("0" if only == "modules" else "1")
    assert ("br_netfilter" in machine.read("proc/modules")) is (only == "modules")


@pytest.mark.parametrize(("only", "sysctl", "modules"), [("", 1, 1), ("sysctl", 1, 0), ("modules", 0, 1)])
def test_only_one_half_of_a_profile_is_rendered(only: str, sysctl: int, modules: int) -> None:
    (found,) = replace(work(profile("vm.x = {{ facts.cpus }}\n", "overlay\n")), only=only).render(host(), {"cpus": 7})
    entries = list(found.sysctl_entries())
    assert (len(entries), len(list(found.module_entries()))) == (sysctl, modules)
    assert all(format_entry(entry) == "vm.x = 7" for entry in entries)
