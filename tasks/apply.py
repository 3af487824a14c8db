"""fab -H … apply"""

from dataclasses import replace

from tasks.command import FORCE_UNLOCK, Run, fleet_task, with_summary
from tasks.remote import node


@fleet_task(
    take_over="Comment out the lines of other files that would win at the next boot.",
    force_unlock=FORCE_UNLOCK,
)
def apply(run: Run, take_over: bool = False, force_unlock: bool = False) -> None:
    """Write the files, load the modules, set the keys, read everything back."""
    work = replace(run.work, take_over=take_over, force_unlock=force_unlock)
    with_summary(replace(run, work=work), node.apply)
