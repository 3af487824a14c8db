"""fab -H … verify"""

from tasks.command import Run, fleet_task, with_summary
from tasks.remote import node


@fleet_task()
def verify(run: Run) -> None:
    """Check that the nodes are as their profiles want them. Read-only, no sudo; exit 3 if not."""
    with_summary(run, node.verify)
