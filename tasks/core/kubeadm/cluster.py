"""The checks between nodes: what has to be unique among those selected, and whether their clocks agree."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tasks.core.folding import fold
from tasks.core.interning import Interner
from tasks.core.kubeadm.names import ALL, apply_ignores
from tasks.core.result import Identity, Item, ItemStatus, Kind, NodeResult, Status

# Seconds. Far below what certificates and tokens forgive (kubeadm's are valid from five minutes before), far above
# what a node that keeps time by NTP is off; etcd already warns of one second.
TOLERANCE = 5.0
NOT_COMPARED = "product_uuid was not compared: only root may read it"


def check_cluster(results: list[NodeResult]) -> None:
    """Puts into a run's results what only all of them together tell, for what it was told from. Nodes that were not
    reached are left out."""
    known = {result.host: result.identity for result in results if result.identity}
    if len(known) < 2:
        return
    twins = [_sharing(known, of) for of in (_hostname, _machine, _product)]
    apart = _clock_skews({name: each.clock for name, each in known.items() if each.clock})
    pool = Interner()
    for number, result in enumerate(results):
        results[number] = _updated(result, known, twins, apart, pool)


def _hostname(identity: Identity) -> str:
    return identity.hostname


def _machine(identity: Identity) -> str:
    return identity.machine_id


def _product(identity: Identity) -> str:
    return identity.product_uuid


def _sharing(known: Mapping[str, Identity], of: Callable[[Identity], str]) -> Mapping[str, str]:
    """For each node that shares it, all that do, folded: once for all of them, who may be 5,000 clones. Nodes that have
    none share nothing."""
    alike: dict[str, list[str]] = {}
    for name, identity in known.items():
        alike.setdefault(of(identity), []).append(name)
    alike.pop("", None)
    shared = [(names, fold(names)) for names in alike.values() if len(names) > 1]
    return {name: folded for names, folded in shared for name in names}


def _clock_skews(clocks: Mapping[str, tuple[float, float]]) -> Mapping[str, float]:
    """Seconds that a node's clock is at least ahead (or, below zero, behind) of most others; 0 where it is not.

    What is known of a clock is an interval, so a slow answer is no skew: two clocks are apart only if even the nearest
    ends of their intervals are. A node is named if that is so for more than half of the others, so that of three nodes
    only the wrong one is, and of two both.
    """
    lows, highs = sorted(low for low, _ in clocks.values()), sorted(high for _, high in clocks.values())
    return {name: _skew(own, lows, highs) for name, own in clocks.items()}


def _skew(own: tuple[float, float], lows: Sequence[float], highs: Sequence[float]) -> float:
    low, high = own
    behind_us = bisect_left(highs, low - TOLERANCE)
    ahead_of_us = len(lows) - bisect_right(lows, high + TOLERANCE)
    if max(behind_us, ahead_of_us) * 2 <= len(lows) - 1:
        return 0.0
    return low - highs[behind_us - 1] if behind_us > ahead_of_us else high - lows[-ahead_of_us]


def _updated(
    result: NodeResult,
    known: Mapping[str, Identity],
    twins: Sequence[Mapping[str, str]],
    apart: Mapping[str, float],
    pool: Interner,
) -> NodeResult:
    own = known.get(result.host)
    if own is None:
        return result
    hostnames, machines, products = (each.get(result.host, "") for each in twins)
    more = [
        _unique("MachineID", own.machine_id, machines, "no /etc/machine-id", _NEW_ID),
        _product_item(own, products),
        _clock(own, apart.get(result.host, 0.0)),
    ]
    items = [_renamed(item, hostnames) if item.name == "Hostname" else item for item in result.items]
    checks = apply_ignores([item for item in (*items, *more) if item.kind is Kind.CHECK], own.ignored)
    items = [*(item for item in items if item.kind is not Kind.CHECK), *checks]
    wrong = any(item.status is ItemStatus.DRIFT for item in checks)
    status = Status.DRIFT if wrong and result.status is Status.OK else result.status
    notes = [NOT_COMPARED] if own.unreadable and not own.ignored & {"productuuid", ALL} else []
    return replace(result, items=pool.items(items), status=status, notes=(*result.notes, *notes), identity=None)


_NEW_ID = "a clone: rm /etc/machine-id && systemd-machine-id-setup on the copies, then reboot them"
_NEW_UUID = "a clone: give the virtual machines identities of their own"
_NEW_NAME = "hostnamectl set-hostname NAME on all but one; the later node would take over the earlier one's"


def _renamed(item: Item, sharing: str) -> Item:
    if not sharing or item.status is ItemStatus.SKIPPED:
        return item
    got = f"{item.got}, shared by {sharing}"
    return item._replace(status=ItemStatus.DRIFT, got=got, next_step=item.next_step or _NEW_NAME)


def _product_item(own: Identity, sharing: str) -> Item:
    missing = "only root may read it" if own.unreadable else "the node has none"
    return _unique("ProductUUID", own.product_uuid, sharing, missing, _NEW_UUID)


def _unique(name: str, own: str, sharing: str, missing: str, step: str) -> Item:
    expected = "unique among the selected nodes"
    if not own:
        return Item(Kind.CHECK, name, ItemStatus.SKIPPED, expected, None, missing)
    if sharing:
        return Item(Kind.CHECK, name, ItemStatus.DRIFT, expected, f"shared by {sharing}", "", step)
    return Item(Kind.CHECK, name, ItemStatus.OK, expected, "unique")


def _clock(own: Identity, off: float) -> Item:
    expected = f"within {TOLERANCE:g} s of the others"
    if own.clock is None:
        return Item(Kind.CHECK, "ClockSkew", ItemStatus.SKIPPED, expected, None, "the node did not tell its time")
    if not off:
        return Item(Kind.CHECK, "ClockSkew", ItemStatus.OK, expected, expected)
    got = f"at least {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} most others"
    step = "set its clock, and keep it right: systemctl enable --now systemd-timesyncd, or chrony"
    return Item(Kind.CHECK, "ClockSkew", ItemStatus.DRIFT, expected, got, "", step)
