"""fab -H … apply"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.cli.options import FORCE_UNLOCK
from tasks.cli.task import fleet_task

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(
    take_over="Comment out the lines of other files that would win at the next boot.",
    force_unlock=FORCE_UNLOCK,
)
def apply(run: Run, take_over: bool = False, force_unlock: bool = False) -> None:
    """Write the files, load the modules, set the keys, read everything back."""
    from tasks.node import steps

    context = replace(run.context, comment_out_conflicts=take_over, force_unlock=force_unlock)
    replace(run, context=context).with_summary(steps.apply_host)
