"""The check Swap: the node has no active swap."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.kubeadm.inputs import CheckInputs, check_item
from tasks.core.result import Item, ItemStatus

SWAPS = "/proc/swaps"


def check_swap(node: CheckInputs) -> Iterator[Item]:
    """Check that no swap is active; active swap is advisory, as in kubeadm."""
    swaps = [word for line in node.facts.texts(SWAPS)[1:] for word in line.split()[:1]]
    if not swaps:
        yield check_item("Swap", ItemStatus.OK, "off", "off")
        return
    why = "kubelet does not start with swap unless it is configured to"
    step = "swapoff -a, and take it out of /etc/fstab; or failSwapOn: false in kubelet's configuration"
    yield check_item("Swap", ItemStatus.ADVISORY, "off", " ".join(swaps), why=why, step=step)
