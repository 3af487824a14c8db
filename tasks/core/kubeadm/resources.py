"""The checks NumCPU and Mem: a control plane is large enough."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.kubeadm.inputs import CheckInputs, check_item
from tasks.core.kubeadm.role import CONTROL_PLANE
from tasks.core.result import Item, ItemStatus

_MIN_CPUS, _MIN_MEMORY_MB = 2, 1700  # kubeadm's constants for a control plane


def check_resources(node: CheckInputs) -> Iterator[Item]:
    """Check the CPUs and the memory of a control plane; yield nothing for other roles."""
    if node.role != CONTROL_PLANE:
        return
    seen = node.facts.for_templates()
    for name, unit, least, got in (
        ("NumCPU", "CPUs", _MIN_CPUS, seen["cpus"]),
        ("Mem", "MB", _MIN_MEMORY_MB, seen["memory_mb"]),
    ):
        enough = isinstance(got, int) and got >= least
        step = "" if enough else "give the node more, or make it a worker"
        status = ItemStatus.OK if enough else ItemStatus.DRIFT
        yield check_item(name, status, f">= {least} {unit} for a control plane", f"{got} {unit}", step=step)
