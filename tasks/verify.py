"""fab -H … verify"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.cli.task import fleet_task
from tasks.core.verb import Verb

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(
    Verb("verify", is_gate=True, counts_checks=True),
    ignore="Checks to leave out, comma separated, by kubeadm's names: Swap,CRI, or all.",
    sudo="Read as root, through sudo: for keys and files that are hidden from the login user.",
)
def verify(run: Run, ignore: str = "", sudo: bool = False) -> None:
    """Check the nodes against their profiles and kubeadm's own checks. Read-only; exit 3 if one fails."""
    from tasks.core.kubeadm.cluster import check_cluster
    from tasks.core.kubeadm.names import parse_ignores
    from tasks.core.kubeadm.role import find_role
    from tasks.node import steps

    for host in run.hosts:
        find_role(host)  # a wrong role costs no connection
    context = replace(run.context, ignored=parse_ignores(ignore), as_root=sudo)
    replace(run, context=context).with_summary(steps.verify_host, check_cluster)
