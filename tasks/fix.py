"""fab -H node3 fix …"""

from dataclasses import replace
from functools import partial

from tasks.command import FORCE_UNLOCK, Run, fleet_task, with_summary
from tasks.core.errors import UsageError
from tasks.core.fix import wished
from tasks.core.selection import fold
from tasks.remote import node


@fleet_task(
    item="KEY=VALUE or MODULE.",
    persist="Keep it for the next boot, too.",
    yes="Allow more than one node.",
    force_unlock=FORCE_UNLOCK,
)
def fix(run: Run, item: str, persist: bool = True, yes: bool = False, force_unlock: bool = False) -> None:
    """Repair one key or module on one node: fab -H node3 fix net.ipv4.ip_forward=1"""
    if len(run.hosts) > 1 and not yes:
        names = fold(host.name for host in run.hosts)
        raise UsageError(f"repairs one node, and -H selects {len(run.hosts)} ({names}): name one, or add --yes")
    if run.dry:
        raise UsageError("has no dry run: `plan` shows how the node differs")
    run = replace(run, work=replace(run.work, force_unlock=force_unlock))
    with_summary(run, partial(node.fix, wished(item), persist))
