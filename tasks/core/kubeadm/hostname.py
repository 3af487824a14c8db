"""The check Hostname: kubeadm accepts the node's name. cluster.py adds that it is unique."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.core.facts import SYSCTL_ROOT, Facts
from tasks.core.kubeadm.inputs import CheckInputs, check_item
from tasks.core.result import Item, ItemStatus

HOSTNAME = SYSCTL_ROOT + "kernel/hostname"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")  # RFC 1123, as kubeadm requires of a node's name


def check_hostname(node: CheckInputs) -> Iterator[Item]:
    """Check that the hostname, in lower case, is a name after RFC 1123."""
    name = node.facts.values.get(HOSTNAME) or ""
    expected = "a name after RFC 1123, unique among the selected nodes"
    if not _NAME.match(name.lower()) or len(name) > 253:
        step = f"{_rename(node.facts)}: letters, digits, `-` and `.` only"
        yield check_item("Hostname", ItemStatus.DRIFT, expected, name, step=step)
    else:
        yield check_item("Hostname", ItemStatus.OK, expected, name)


def _rename(facts: Facts) -> str:
    if "/run/systemd/system" in facts.present:
        return "hostnamectl set-hostname NAME"
    return "hostname NAME, and the same in /etc/hostname"
