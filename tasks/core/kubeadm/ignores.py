"""Checks that the admin ignores: named by the inventory, applied to items."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tasks.core.host import Host
from tasks.core.result import Item, ItemStatus

ALL = "all"
VARIABLE = "kubeadm_ignore_preflight_errors"  # Kubespray's


def ignored_of_host(host: Host) -> frozenset[str]:
    """Return the names, in lower case, that the inventory ignores on a host."""
    return parse_inventory_ignores(host.variables.get(VARIABLE, ""))


def parse_inventory_ignores(variable: object) -> frozenset[str]:
    """Parse comma text or a list into names in lower case. Unknown names are kubeadm's and have no effect here."""
    names = map(str, variable) if isinstance(variable, list) else split_names(str(variable))
    return frozenset(name.strip().lower() for name in names)


def split_names(text: str) -> list[str]:
    """`a, b,` -> [a, b]."""
    return [name.strip() for name in text.split(",") if name.strip()]


def apply_ignores(items: Iterable[Item], names: Collection[str]) -> tuple[Item, ...]:
    """Return the items; ignored ones are skipped, and their why keeps the finding."""
    return tuple(_skipped(item) if _is_ignored(item, names) else item for item in items)


def _is_ignored(item: Item, names: Collection[str]) -> bool:
    is_finding = item.status in (ItemStatus.DRIFT, ItemStatus.ADVISORY)
    return is_finding and (ALL in names or item.name.lower() in names)


def _skipped(item: Item) -> Item:
    why = f"ignored, as requested: expected {item.expected}, got {item.found}"
    return item._replace(status=ItemStatus.SKIPPED, why=why, next_step="")
