"""fab -H … hosts"""

from tasks.command import Run, fleet_task
from tasks.console import hosts as shown
from tasks.console import output


@fleet_task()
def hosts(run: Run) -> None:
    """List what -H selects, with address, user, groups and variables. Connects to nothing."""
    shown.show(run.hosts, output.results(), as_json=run.as_json)
