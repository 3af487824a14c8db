"""fab -H … verify"""

from dataclasses import replace

from tasks.command import Run, fleet_task, with_summary
from tasks.core.between import compared
from tasks.core.join import role
from tasks.core.preflight import ignored
from tasks.remote import node


@fleet_task(ignore="Checks to leave out, comma separated, by kubeadm's names: Swap,CRI, or all.")
def verify(run: Run, ignore: str = "") -> None:
    """Check the nodes against their profiles and kubeadm's own checks. Read-only, no sudo; exit 3 if one fails."""
    for host in run.hosts:
        role(host)  # so that a wrong one costs no connection
    with_summary(replace(run, work=replace(run.work, ignored=ignored(ignore))), node.verify, compared)
