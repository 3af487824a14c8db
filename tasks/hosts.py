"""fab -H … hosts"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.cli.task import fleet_task

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task()
def hosts(run: Run) -> None:
    """List what -H selects, with address, user, groups and variables. Connects to nothing."""
    from tasks.console import hosts as hosts_listing

    as_json = run.as_json
    with run.results() as screen:
        hosts_listing.show_hosts(run.hosts, screen, as_json=as_json)
