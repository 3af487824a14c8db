"""fab -H … rollback"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tasks.cli.options import FORCE_UNLOCK
from tasks.cli.task import fleet_task
from tasks.core.errors import UsageError

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(
    to="Take back this run, too, and all after it; --list names them. Default: only the newest.",
    list="List what can be taken back.",
    plan="Show what it would do; writes nothing.",
    force_unlock=FORCE_UNLOCK,
)
def rollback(run: Run, to: str = "", list_: bool = False, plan: bool = False, force_unlock: bool = False) -> None:
    """Take back what apply and fix did: files, keys, modules."""
    from tasks.console import listings
    from tasks.node import rollback as node_rollback

    if run.options.only or run.options.profile:
        raise UsageError("takes back all that a run did: --only and --profile have no place here")
    node_rollback.check_run_name(to)
    run = replace(run, context=replace(run.context, force_unlock=force_unlock))
    if list_:
        run.with_listing(node_rollback.list_snapshots, listings.show_snapshots)
    elif plan or run.dry:
        replace(run, verb="rollback --plan", dry=False).with_summary(partial(node_rollback.plan_rollback, to))
    else:
        run.with_summary(partial(node_rollback.rollback_host, to))
