"""The items after an apply: what was changed, and what was not and why."""

from __future__ import annotations

import pytest

from tasks.core.plan.diff import Plan
from tasks.core.plan.readback import read_back
from tasks.core.result import Item, ItemStatus, Kind

KEY = Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", "0")


SET = ("set", "/proc/sys/vm/x")


def settle(was: Item, now: Item, *complaints: tuple[tuple[str, str], str]) -> Item:
    return read_back([Plan((was,)), Plan((now,))], dict(complaints))[0]


@pytest.mark.parametrize(
    ("was", "why"),
    [
        (KEY, "was 0"),
        (KEY._replace(got=None), "was absent"),
        (KEY._replace(got=None, status=ItemStatus.MISSING), "was absent"),
    ],
)
def test_what_was_wrong_and_is_right_was_changed(was: Item, why: str) -> None:
    done = settle(was, KEY._replace(status=ItemStatus.OK, got="1"))
    assert (done.status, done.why) == (ItemStatus.CHANGED, why)


@pytest.mark.parametrize("status", sorted(set(ItemStatus) - {ItemStatus.DRIFT}))
def test_what_is_not_drift_after_an_apply_is_told_as_it_is(status: ItemStatus) -> None:
    item = KEY._replace(status=status)
    was = KEY._replace(status=ItemStatus.OK) if status is ItemStatus.OK else item
    assert settle(was, item) == item


@pytest.mark.parametrize(
    ("said", "why", "step"),
    [
        ("", "nothing changed", "give it another value"),
        ("sh: 1: echo: echo: I/O error", "I/O error", "give it another value"),
        ("sh: can't create /proc/sys/vm/x: Read-only file system", "Read-only file system", "on the container's host"),
    ],
)
def test_a_key_that_did_not_take_its_value_was_kept_by_the_kernel(said: str, why: str, step: str) -> None:
    done = settle(KEY, KEY, *([(SET, said)] if said else []))
    assert done.status is ItemStatus.KEPT_BY_KERNEL
    assert why in done.why
    assert step in done.next_step


@pytest.mark.parametrize(
    ("item", "asked"),
    [
        (Item(Kind.MODULE, "a", ItemStatus.DRIFT, "loaded", "not loaded"), ("load", "a")),
        (Item(Kind.FILE, "/etc/x.conf", ItemStatus.DRIFT, "as rendered", "absent"), ("keep", "/etc/x.conf")),
    ],
)
def test_what_could_not_be_done_says_what_the_node_said(item: Item, asked: tuple[str, str]) -> None:
    done = settle(item, item, (asked, "it said so"), (("other", "thing"), "no"))
    assert (done.status, done.why) == (ItemStatus.DRIFT, "it said so")
    assert done.next_step


def test_a_file_that_did_not_change_without_a_word_says_so() -> None:
    item = Item(Kind.FILE, "/etc/x.conf", ItemStatus.DRIFT, "as rendered", "absent")
    assert settle(item, item).why == "it was not changed"


def test_the_first_look_of_all_tells_what_was_before() -> None:
    between = KEY._replace(got="7")
    done = read_back([Plan((KEY,)), Plan((between,)), Plan((KEY._replace(got="1", status=ItemStatus.OK),))], {})
    assert done[0].why == "was 0"


def test_a_value_that_only_a_reboot_takes_back_is_told_as_that_when_it_was_set_and_when_it_cannot_be() -> None:
    was = KEY._replace(name="kernel.yama.ptrace_scope", expected="3", got="1")
    done = settle(was, was._replace(status=ItemStatus.OK, got="3"))
    assert (done.status, done.why) == (ItemStatus.CHANGED, "was 1; only a reboot takes it back, rollback cannot")
    stays = was._replace(expected="1", got="3")
    assert settle(stays, stays).next_step == "reboot the node: the kernel keeps 3 until then"
