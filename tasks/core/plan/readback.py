"""Compare a plan with the facts that were read back after its changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tasks.core.facts import key_file
from tasks.core.kernel import is_final
from tasks.core.plan.diff import ONLY_A_REBOOT, Plan
from tasks.core.result import FINE, Item, ItemStatus, Kind


def read_back(plans: Sequence[Plan], complaints: Mapping[tuple[str, str], str]) -> tuple[Item, ...]:
    """Return the items after a change: `changed` where the first plan found an item wrong and the last finds it right.

    complaints: the node's error texts, by instruction and name.
    """
    first: dict[tuple[Kind, str], Item] = {}
    for item in (item for plan in plans for item in plan.items):
        first.setdefault((item.kind, item.name), item)
    to_unload = plans[-1].undo.modules
    return tuple(_read_back_item(first[item.kind, item.name], item, complaints, to_unload) for item in plans[-1].items)


def _read_back_item(
    was: Item, now: Item, complaints: Mapping[tuple[str, str], str], to_unload: Collection[str]
) -> Item:
    if now.status is ItemStatus.OK and was.status not in FINE:
        return now._replace(status=ItemStatus.CHANGED, why=_previous_value(was, now))
    if now.status is not ItemStatus.DRIFT:
        return now
    complaint = _complaint(now, complaints)
    if now.kind is Kind.SYSCTL and now.got is not None:
        why = _kernel_reason(was, now, complaint)
        return now._replace(status=ItemStatus.KEPT_BY_KERNEL, why=why, next_step=_kept_step(now, why))
    stays_loaded = now.kind is Kind.MODULE and now.name in to_unload
    step = now.next_step if stays_loaded else _NEXT_STEP[now.kind]
    return now._replace(why=complaint or now.why or "it was not changed", next_step=step)


_NEXT_STEP = {
    Kind.FILE: "look at the node: is its file system full, read-only, or the file immutable (lsattr)?",
    Kind.MODULE: "look at the node: dmesg, and sysctl kernel.modules_disabled (1: only a reboot helps)",
    Kind.SYSCTL: "put its module right first",
}


def _kernel_reason(was: Item, now: Item, complaint: str) -> str:
    if complaint:
        return f"the kernel said: {complaint.rpartition(': ')[2]}"
    if was.got != now.got:
        return f"was {was.got}, and the kernel made {now.got} of it"
    return "no error was reported, and nothing changed"


def _kept_step(item: Item, why: str) -> str:
    if "Read-only" in why:
        return "/proc/sys is read-only here: set it where the node's kernel runs, on the container's host"
    if item.got is not None and is_final(item.name, item.got, item.expected):
        return f"reboot the node: the kernel keeps {item.got} until then"
    return f"give it another value: the kernel does not take {item.expected} for {item.name}"


def _previous_value(was: Item, now: Item) -> str:
    final = was.kind is Kind.SYSCTL and was.got and now.got and is_final(was.name, now.got, was.got)
    return f"was {was.got if was.got is not None else 'absent'}" + (f"; {ONLY_A_REBOOT}" if final else "")


def _complaint(item: Item, complaints: Mapping[tuple[str, str], str]) -> str:
    """Return the node's error text for the instruction that was to change this item, empty if there is none."""
    instructions = {
        Kind.FILE: ("keep", "restore", "remove", "enable"),
        Kind.MODULE: ("load", "unload"),
        Kind.SYSCTL: ("set",),
    }
    name = key_file(item.name) if item.kind is Kind.SYSCTL else item.name
    return next((complaints[verb, name] for verb in instructions[item.kind] if (verb, name) in complaints), "")
