"""fab -H … verify"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.cli.task import fleet_task

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(ignore="Checks to leave out, comma separated, by kubeadm's names: Swap,CRI, or all.")
def verify(run: Run, ignore: str = "") -> None:
    """Check the nodes against their profiles and kubeadm's own checks. Read-only, no sudo; exit 3 if one fails."""
    from tasks.core.kubeadm.checks import role
    from tasks.core.kubeadm.cluster import compare
    from tasks.core.kubeadm.names import ignored
    from tasks.node import steps as node

    for host in run.hosts:
        role(host)  # so that a wrong one costs no connection
    work = replace(run.work, ignored=ignored(ignore))
    replace(run, work=work).with_summary(node.verify, compare)
