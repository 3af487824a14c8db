"""Swap: advice, and never more."""

from __future__ import annotations

from tasks.core.kubeadm.swap import SWAPS
from tests.support.kubeadm import findings, run_checks


def test_swap_is_advisory() -> None:
    swaps = "Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n/swap file 1 0 -3"
    items = run_checks({SWAPS: swaps})
    assert findings(items) == {"Swap": "advisory"}
    assert items["Swap"].got == "/dev/vda2 /swap"
