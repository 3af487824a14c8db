"""The inputs of a check before `kubeadm join`, and helpers for its items."""

from __future__ import annotations

import re
from typing import NamedTuple

from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.plan.desired import Desired
from tasks.core.result import Item, ItemStatus, Kind


class CheckInputs(NamedTuple):
    """One node: its inventory entry, its role in the cluster, its facts, and its resolved profiles."""

    host: Host
    role: str
    facts: Facts
    desired: Desired


def check_item(name: str, status: ItemStatus, expected: str, got: str | None, *, why: str = "", step: str = "") -> Item:
    """Return the item of a check."""
    return Item(Kind.CHECK, name, status, expected, got, why, step)


def check_name(kind: str, path: str) -> str:
    """`FileContent`, `/proc/x` -> kubeadm's `FileContent--proc-x`."""
    return f"{kind}-{path.replace('/', '-')}"


def parse_version(text: str) -> tuple[int, int] | None:
    """`v1.34.2` -> (1, 34), `6.1.0-13-amd64` -> (6, 1); None for other text."""
    match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})", text)
    return (int(match[1]), int(match[2])) if match else None


Version = tuple[int, int, int]
NEWEST = 9999


def kubernetes_version(host: Host) -> Version:
    """Return Kubespray's kube_version as (1, 33, 6); `1.33` is (1, 33, 9999), and no version is the newest."""
    match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})(\.([0-9]{1,4}))?", str(host.variables.get("kube_version", "")))
    if not match:
        return (NEWEST, NEWEST, NEWEST)
    return (int(match[1]), int(match[2]), int(match[4] or NEWEST))
