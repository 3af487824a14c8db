"""fab -H … apply"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tasks.cli.options import FORCE_UNLOCK
from tasks.cli.task import fleet_task
from tasks.core.verb import Verb

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(
    Verb("apply", writes=True, old_words=(("--take-over", "--comment-out-conflicts"),)),
    comment_out_conflicts="Comment out the lines of other files that would win at the next boot (was --take-over).",
    force_unlock=FORCE_UNLOCK,
    replace="Take back profiles that are on a node and that this run does not name.",
    yes="Unload modules and set keys back even on a node that has joined a cluster or uses them.",
)
def apply(
    run: Run,
    comment_out_conflicts: bool = False,
    force_unlock: bool = False,
    replace: bool = False,
    yes: bool = False,
) -> None:
    """Write the files, load the modules, set the keys, read everything back."""
    from tasks.node import steps

    context = dataclasses.replace(
        run.context,
        comment_out_conflicts=comment_out_conflicts,
        force_unlock=force_unlock,
        replace_profiles=replace,
        confirmed=yes,
    )
    dataclasses.replace(run, context=context).with_summary(steps.apply_host)
