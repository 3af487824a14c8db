"""fab -H … rollback"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tasks.cli.options import FORCE_UNLOCK
from tasks.cli.task import fleet_task
from tasks.core.errors import UsageError
from tasks.core.verb import Verb

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(
    Verb("rollback", writes=True, uses_profiles=False, old_words=(("--to", "--to-run"),)),
    to_run="Take back this run, too, and all after it; --list names them. Default: only the newest (was --to).",
    list="List what can be taken back.",
    plan="Show what it would do; writes nothing.",
    force_unlock=FORCE_UNLOCK,
)
def rollback(run: Run, to_run: str = "", list_: bool = False, plan: bool = False, force_unlock: bool = False) -> None:
    """Take back what apply and fix did: files, keys, modules."""
    from tasks.console.listings import show_snapshots
    from tasks.node import rollback as node

    if run.options.only or run.options.profile:
        raise UsageError("takes back all that a run did: --only and --profile have no place here")
    node.check_run_name(to_run)
    run = replace(run, context=replace(run.context, force_unlock=force_unlock))
    if list_:
        run.with_listing(node.list_snapshots, show_snapshots)
    elif plan or run.dry:
        preview = replace(run.verb, name="rollback --plan", writes=False)
        replace(run, verb=preview, dry=False).with_summary(partial(node.plan_rollback, to_run))
    else:
        run.with_summary(partial(node.rollback_host, to_run))
