"""The checks between nodes: identities are unique among the selected nodes, and their clocks agree."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tasks.core.folding import fold
from tasks.core.interning import Interner
from tasks.core.kubeadm.ignores import ALL, apply_ignores
from tasks.core.kubeadm.inputs import check_item
from tasks.core.result import Identity, Item, ItemStatus, Kind, NodeResult, Status

CLUSTER_NAMES = ("Hostname", "MachineID", "ProductUUID", "ClockSkew")

# Seconds. Far below what certificates and tokens forgive (kubeadm's are valid from five minutes before), and far above
# the skew of a node that keeps time by NTP; etcd already warns of one second.
TOLERANCE = 5.0
NOT_COMPARED = "product_uuid was not compared: only root may read it"
_NEW_ID = (
    "a clone: on the copies rm /etc/machine-id && systemd-machine-id-setup (without systemd: dbus-uuidgen >"
    " /etc/machine-id), then reboot them"
)
_NEW_UUID = "a clone: give the virtual machines identities of their own"
_NEW_NAME = (
    "hostnamectl set-hostname NAME (without systemd: hostname NAME, and /etc/hostname) on all but one; the later node"
    " would take over the earlier one's"
)


def check_cluster(results: list[NodeResult]) -> None:
    """Add the checks between nodes to the results, in place, and drop the identities. Leave out unreachable nodes."""
    known = {result.host: result.identity for result in results if result.identity}
    if len(known) < 2:
        return
    shared = [_sharing(known, of) for of in (_hostname, _machine, _product)]
    skews = _clock_skews({name: each.clock for name, each in known.items() if each.clock})
    pool = Interner()
    for number, result in enumerate(results):
        results[number] = _updated(result, known, shared, skews, pool)


def _hostname(identity: Identity) -> str:
    return identity.hostname


def _machine(identity: Identity) -> str:
    return identity.machine_id


def _product(identity: Identity) -> str:
    return identity.product_uuid


def _sharing(known: Mapping[str, Identity], of: Callable[[Identity], str]) -> Mapping[str, str]:
    """Map each node that shares a value to the folded names of all that share it.

    Nodes without a value are left out. Names are folded once a group: 5,000 clones may be in one.
    """
    groups: dict[str, list[str]] = {}
    for name, identity in known.items():
        groups.setdefault(of(identity), []).append(name)
    groups.pop("", None)
    shared = [(names, fold(names)) for names in groups.values() if len(names) > 1]
    return {name: folded for names, folded in shared for name in names}


def _clock_skews(clocks: Mapping[str, tuple[float, float]]) -> Mapping[str, float]:
    """Return for each node the least seconds that its clock is ahead of most others; negative: behind; 0: neither.

    A clock is known as an interval, so a slow reply is not a skew: two clocks differ only if even the nearest ends of
    their intervals do. A node is reported if it differs from more than half of the others: of three nodes only the
    wrong one, of two both.
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
    shared: Sequence[Mapping[str, str]],
    skews: Mapping[str, float],
    pool: Interner,
) -> NodeResult:
    own = known.get(result.host)
    if own is None:
        return result
    hostnames, machines, products = (each.get(result.host, "") for each in shared)
    added = [
        _unique("MachineID", own.machine_id, machines, "no /etc/machine-id", _NEW_ID),
        _product_item(own, products),
        _clock(own, skews.get(result.host, 0.0)),
    ]
    items = [_with_sharing(item, hostnames) if item.name == "Hostname" else item for item in result.items]
    checks = apply_ignores([item for item in (*items, *added) if item.kind is Kind.CHECK], own.ignored)
    items = [*(item for item in items if item.kind is not Kind.CHECK), *checks]
    has_drift = any(item.status is ItemStatus.DRIFT for item in checks)
    status = Status.DRIFT if has_drift and result.status is Status.OK else result.status
    notes = [NOT_COMPARED] if own.unreadable and not own.ignored & {"productuuid", ALL} else []
    return replace(result, items=pool.items(items), status=status, notes=(*result.notes, *notes), identity=None)


def _with_sharing(item: Item, sharing: str) -> Item:
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
        return check_item(name, ItemStatus.SKIPPED, expected, None, why=missing)
    if sharing:
        return check_item(name, ItemStatus.DRIFT, expected, f"shared by {sharing}", step=step)
    return check_item(name, ItemStatus.OK, expected, "unique")


def _clock(own: Identity, skew: float) -> Item:
    name, expected = "ClockSkew", f"within {TOLERANCE:g} s of the others"
    if own.clock is None:
        return check_item(name, ItemStatus.SKIPPED, expected, None, why="the node did not report its time")
    if not skew:
        return check_item(name, ItemStatus.OK, expected, expected)
    got = f"at least {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} most others"
    step = "set its clock, and keep it right: chrony, or systemctl enable --now systemd-timesyncd"
    return check_item(name, ItemStatus.DRIFT, expected, got, step=step)
