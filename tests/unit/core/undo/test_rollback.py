"""Rollback as tables: a node's snapshots and facts in, a plan out."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from tasks.core.errors import RemoteError
from tasks.core.facts import Line
from tasks.core.kernel import keys_changed_with
from tasks.core.plan.diff import Plan, Undo
from tasks.core.protocol.lock import STORE, ChangeId
from tasks.core.undo import rollback
from tasks.core.undo.snapshot import PriorState, Snapshot
from tests.support.builders import MODULES, SYSCTL, facts

OURS, OTHER = SYSCTL.format("p"), MODULES.format("p")
LINE = Line("/etc/sysctl.d/x.conf", 2, "a = 1")

THREE = tuple(Snapshot(f"{STORE}/{n}", ChangeId(f"2026112{n}-000000-aaaa", "a@b", "apply"), "root") for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("to", "chosen"),
    [
        ("", THREE[2:]),
        ("20261123-000000-aaaa", THREE[2:]),
        ("20261121-000000-aaaa", THREE),
        ("20261124-000000-aaaa", ()),
    ],
    ids=["the newest", "one", "all from it on", "a later run that changed nothing here"],
)
def test_what_is_taken_back(to: str, chosen: tuple[Snapshot, ...]) -> None:
    assert rollback.select_snapshots(THREE, to) == chosen


def test_nothing_is_taken_back_where_there_is_nothing() -> None:
    assert rollback.select_snapshots((), "") == rollback.select_snapshots((), "20261121-000000-aaaa") == ()


def test_a_run_that_is_not_there_and_might_be_meant_otherwise_is_an_error() -> None:
    with pytest.raises(RemoteError, match="no snapshot of run 20261122-111111-aaaa; it has 20261121"):
        rollback.select_snapshots(THREE, "20261122-111111-aaaa")


@pytest.mark.parametrize("found", [THREE, THREE[:1]], ids=["others after it", "the only one"])
def test_a_run_that_was_merged_into_the_oldest_is_told_as_that(found: tuple[Snapshot, ...]) -> None:
    merged = (replace(found[0], until="20261121-080000-aaaa"), *found[1:])
    for run in ("20261121-070000-aaaa", "20261121-080000-aaaa"):
        with pytest.raises(RemoteError, match=f"{run} alone: those from 20261121-000000-aaaa to 20261121-08.* merged"):
            rollback.select_snapshots(merged, run)
    assert rollback.select_snapshots(merged, "20261121-000000-aaaa") == merged
    assert rollback.select_snapshots(merged, "20261124-000000-aaaa") == ()


def planned(past: PriorState, **node: object) -> tuple[Plan, dict[str, tuple[str, str | None]]]:
    """The plan, and its items by name: status and what is there."""
    plan = rollback.make_plan(past, facts(**node))  # type: ignore[arg-type]
    return plan, {item.name: (str(item.status), item.got) for item in plan.items}


@pytest.mark.parametrize(
    ("past", "node", "item", "undo"),
    [
        ({OURS: "/c"}, {}, ("drift", "changed"), (OURS, "/c")),
        ({OURS: "/c"}, {"holds": [f"same {OURS} /c"]}, ("ok", "as it was"), None),
        ({OURS: ""}, {"absent": [OURS]}, ("ok", None), None),
        ({OURS: ""}, {"hidden": [OURS]}, ("drift", "there"), (OURS, "")),
        ({OURS: ""}, {}, ("drift", "there"), (OURS, "")),
    ],
    ids=["other", "the same", "still absent", "there", "not asked"],
)
def test_files(
    past: dict[str, str], node: dict[str, object], item: tuple[str, str | None], undo: tuple[str, str] | None
) -> None:
    plan, items = planned(PriorState(files=past), **node)
    assert items == {OURS: item}
    assert plan.undo.files == ((undo,) if undo else ())


@pytest.mark.parametrize(
    ("arrived", "now", "item", "set_to"),
    [
        (False, "2", ("drift", "2"), "1"),
        (False, "1", ("ok", "1"), None),
        (False, None, ("skipped", None), None),
        (True, "2", ("drift", "2"), "1"),
        (True, "1", ("ok", "1"), None),
        (True, None, ("ok", None), None),
    ],
)
def test_keys(arrived: bool, now: str | None, item: tuple[str, str | None], set_to: str | None) -> None:
    past = PriorState(keys={"vm.x": "1"}, created_keys=frozenset({"vm.x"} if arrived else ()))
    plan, items = planned(past, values={"vm.x": now} if now else {})
    assert items == {"vm.x": item}
    assert plan.undo.keys == ((("vm.x", set_to),) if set_to else ())


def test_ip_forward_goes_before_what_it_changes_along_with_it() -> None:
    past = PriorState(keys={"net.ipv4.conf.eth0.forwarding": "1", "net.ipv4.ip_forward": "0"})
    plan, _ = planned(past, values={"net.ipv4.conf.eth0.forwarding": "0", "net.ipv4.ip_forward": "1"})
    assert [key for key, _ in plan.undo.keys] == ["net.ipv4.ip_forward", "net.ipv4.conf.eth0.forwarding"]


def test_modules_and_lines_and_folders() -> None:
    gone, still = Line("/etc/x", 1, "b"), Line("/etc/x", 3, "c")
    past = PriorState(modules=("a", "b"), lines=(LINE, gone, still), folders=("/etc/sysctl.d", "/etc/modules-load.d"))
    plan, items = planned(
        past,
        loaded=["a"],
        holds=["marked /etc/sysctl.d/x.conf 2 a = 1", "stands /etc/x 3 c"],
        hidden=["/etc/sysctl.d"],
    )
    assert {name: status for name, (status, _) in items.items()} == {
        "a": "drift",
        "b": "ok",
        "/etc/sysctl.d/x.conf:2": "drift",
        "/etc/x:1": "skipped",
        "/etc/x:3": "ok",
    }
    assert plan.undo == Undo(lines=(LINE,), modules=("a",), folders=("/etc/sysctl.d",))


def test_questions_are_about_files_folders_and_lines() -> None:
    past = PriorState(files={OURS: "/c", OTHER: ""}, folders=("/etc/sysctl.d",), lines=(LINE,))
    assert rollback.probe_instructions(past) == [
        f"same {OURS} /c",
        f"look {OTHER}",
        "look /etc/sysctl.d",
        "marked /etc/sysctl.d/x.conf 2 a = 1",
    ]


def test_a_snapshot_is_told_in_one_line() -> None:
    items = (("absent", OURS), ("key", "/proc/sys/a 1"), ("key", "/proc/sys/b 2"), ("module", "x"))
    stamp = ChangeId("20261125-021502-a3f1", "anna@laptop", "apply")
    assert rollback.format_snapshot(rollback.summarize_snapshot(Snapshot("/x", stamp, "admin", items))) == (
        "20261125-021502-a3f1  2026-11-25 02:15:02 UTC  apply by anna@laptop (admin): 1 file, 2 keys, 1 module"
    )


@pytest.mark.parametrize(
    ("key", "others"),
    [
        ("net.ipv4.ip_forward", ("net.ipv4.conf.*.forwarding", "net.ipv4.conf.all.accept_redirects")),
        ("vm.dirty_bytes", ("vm.dirty_ratio",)),
        ("vm.swappiness", ()),
    ],
)
def test_what_the_kernel_changes_along_with_a_key(key: str, others: tuple[str, ...]) -> None:
    assert keys_changed_with(key) == others


def test_a_run_in_a_command_is_one_word_for_a_shell() -> None:
    merged = (replace(THREE[0], change=replace(THREE[0].change, run="20261120;reboot"), until="20261121-080000-aaaa"),)
    with pytest.raises(RemoteError) as error:
        rollback.select_snapshots(merged, "20261121-070000-aaaa")
    assert shlex.split(error.value.next_step)[5] == "20261120;reboot"
