"""The next boot as tables: files in, who wins out. That real boots agree is shown in tests/lab."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.core.boot.inits import SYSCTL_UNIT
from tasks.core.boot.simulation import NextBoot
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import diff
from tasks.core.result import ItemStatus
from tests.support.boots import ALPINE, LISTED, boot, facts
from tests.support.builders import rendered


def test_a_masked_setter_sets_nothing() -> None:
    assert "masked" in str(boot({"/etc/sysctl.d/a.conf": "x.y=1"}, masked=SYSCTL_UNIT).setter_obstacle())
    assert boot({}).setter_obstacle() is None


def test_nothing_is_claimed_about_a_node_whose_init_is_unknown() -> None:
    wanted = [rendered("net.ipv4.tcp_fin_timeout = 30")]
    known = facts({}, values={"net.ipv4.tcp_fin_timeout": "30"}, runs="runit")
    plan = diff(resolve(wanted, known), known, NextBoot(known, known.files))
    assert [item.status for item in plan.items] == [ItemStatus.OK, ItemStatus.DRIFT]


ADVICE: dict[str, tuple[dict[str, object], str]] = {
    "nothing": ({"files": {}}, ""),
    "a pasted recipe beside a file that loads the module": (
        {"files": {**LISTED, "/etc/modules-load.d/k8s.conf": "modprobe foo\n# c\nmodprobe bar"}},
        (
            "/etc/modules-load.d/k8s.conf:1,3: "
            "`modprobe foo` is not a module name and loads nothing at boot; write the bare name"
        ),
    ),
    "rules that no test has tried": (
        {"files": {"/etc/os-release": "ID=alpine"}, "runs": "openrc", "links": ALPINE},
        "Alpine's OpenRC: its rules for the next boot are read in its scripts, not tested",
    ),
    "an unknown init": (
        {"files": {}, "runs": "runit"},
        "its init system is not known: the next boot was not checked",
    ),
}


def test_in_a_container_what_is_loaded_stays_its_hosts_matter() -> None:
    known = facts({}, loaded=("foo",))
    inside = NextBoot(replace(known, values={**known.values, "/run/systemd/container": "lxc"}), {})
    assert (NextBoot(known, {}).module_obstacle("foo") is None, inside.module_obstacle("foo") is None) == (False, True)
    assert [note.split(":")[0] for note in inside.notes()] == ["a container"]


@pytest.mark.parametrize(("case", "note"), ADVICE.values(), ids=ADVICE)
def test_what_an_admin_hears_although_nothing_is_wrong(case: dict[str, object], note: str) -> None:
    assert boot(**case).notes() == ([note] if note else [])  # type: ignore[arg-type]
