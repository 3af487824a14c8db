"""fab -H … apply"""

from dataclasses import replace

from tasks.command import Run, fleet_task, with_summary
from tasks.remote import node


@fleet_task(take_over="Comment out the lines of other files that would win at the next boot.")
def apply(run: Run, take_over: bool = False) -> None:
    """Write the files, load the modules, set the keys, read everything back."""
    with_summary(replace(run, work=replace(run.work, take_over=take_over)), node.apply)
