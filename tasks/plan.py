"""fab -H … plan"""

from tasks.command import Run, fleet_task, with_summary
from tasks.remote import node


@fleet_task()
def plan(run: Run) -> None:
    """Show what apply would change, node by node, key by key. Writes nothing."""
    with_summary(run, node.plan)
