"""fab -H … hosts"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.verb import fleet_task

if TYPE_CHECKING:
    from tasks.command import Run


@fleet_task()
def hosts(run: Run) -> None:
    """List what -H selects, with address, user, groups and variables. Connects to nothing."""
    from tasks.console import hosts as shown
    from tasks.console import output

    shown.show(run.hosts, output.results(), as_json=run.as_json)
