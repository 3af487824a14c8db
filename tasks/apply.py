"""fab -H … apply"""

from tasks.command import Run, fleet_task, with_summary
from tasks.remote import node


@fleet_task()
def apply(run: Run) -> None:
    """Write the files, load the modules, set the keys, read everything back."""
    with_summary(run, node.apply)
