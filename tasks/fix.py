"""fab -H node3 fix …"""

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
    Verb("fix", writes=True, one_node=True),
    item="KEY=VALUE or MODULE.",
    persist="Keep it for the next boot, too.",
    yes="Allow more than one node.",
    force_unlock=FORCE_UNLOCK,
)
def fix(run: Run, item: str, persist: bool = True, yes: bool = False, force_unlock: bool = False) -> None:
    """Repair one key or module on one node: fab -H node3 fix net.ipv4.ip_forward=1"""
    from tasks.core.folding import fold
    from tasks.core.plan.fix import parse_item
    from tasks.node import steps

    if len(run.hosts) > 1 and not yes:
        names = fold(host.name for host in run.hosts)
        raise UsageError(f"repairs one node, and -H selects {len(run.hosts)} ({names}): name one, or add --yes")
    if run.dry:
        raise UsageError("has no dry run: `plan` shows how the node differs")
    run = replace(run, context=replace(run.context, force_unlock=force_unlock))
    run.with_summary(partial(steps.fix_host, parse_item(item), persist))
