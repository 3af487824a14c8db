"""Compare what was planned with what was read back after a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.core.facts import key_file
from tasks.core.plan.diff import Plan
from tasks.core.result import FINE, Item, ItemStatus, Kind


def read_back(plans: Sequence[Plan], complaints: Mapping[tuple[str, str], str]) -> tuple[Item, ...]:
    """What an apply did: `changed` where something was wrong at first and the last look finds it right."""
    first: dict[tuple[Kind, str], Item] = {}
    for item in (item for plan in plans for item in plan.items):
        first.setdefault((item.kind, item.name), item)
    return tuple(_read_back_item(first[item.kind, item.name], item, complaints) for item in plans[-1].items)


def _read_back_item(was: Item, now: Item, complaints: Mapping[tuple[str, str], str]) -> Item:
    if now.status is ItemStatus.OK and was.status not in FINE:
        return now._replace(status=ItemStatus.CHANGED, why=_previous_value(was))
    if now.status is not ItemStatus.DRIFT:
        return now
    said = _complaint(now, complaints)
    if now.kind is Kind.SYSCTL and now.got is not None:
        why = _kernels_reason(was, now, said)
        return now._replace(status=ItemStatus.KEPT_BY_KERNEL, why=why, next_step=_kept_step(now, why))
    step = now.next_step if now.kind is Kind.MODULE and now.got == "loaded" else _NEXT_STEP[now.kind]
    return now._replace(why=said or now.why or "it was not changed", next_step=step)


_NEXT_STEP = {
    Kind.FILE: "look at the node: is its file system full, read-only, or the file immutable (lsattr)?",
    Kind.MODULE: "look at the node: dmesg, and sysctl kernel.modules_disabled (1: only a reboot helps)",
    Kind.SYSCTL: "put its module right first",
}


def _kernels_reason(was: Item, now: Item, said: str) -> str:
    if said:
        return f"the kernel said: {said.rpartition(': ')[2]}"
    if was.got != now.got:
        return f"was {was.got}, and the kernel made {now.got} of it"
    return "no error was reported, and nothing changed"


def _kept_step(item: Item, why: str) -> str:
    if "Read-only" in why:
        return "/proc/sys is read-only here: set it where the node's kernel runs, on the container's host"
    return f"give it another value: the kernel does not take {item.expected} for {item.name}"


def _previous_value(was: Item) -> str:
    return f"was {was.got if was.got is not None else 'absent'}"


def _complaint(item: Item, complaints: Mapping[tuple[str, str], str]) -> str:
    """What the node said when it was asked to change this item."""
    asked = {
        Kind.FILE: ("keep", "restore", "remove", "enable"),
        Kind.MODULE: ("load", "unload"),
        Kind.SYSCTL: ("set",),
    }
    name = key_file(item.name) if item.kind is Kind.SYSCTL else item.name
    return next((complaints[verb, name] for verb in asked[item.kind] if (verb, name) in complaints), "")
