"""fab -H … plan"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.cli.task import fleet_task
from tasks.core.verb import PLAN

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(PLAN)
def plan(run: Run) -> None:
    """Show what apply would change, node by node, key by key. Writes nothing."""
    from tasks.node import steps

    run.with_summary(steps.plan_host)
