"""fab -H … hosts"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.cli.task import fleet_task
from tasks.core.verb import Verb

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(Verb("hosts"))
def hosts(run: Run) -> None:
    """List what -H selects, with address, user, groups and variables. Connects to nothing."""
    from tasks.console.hosts import show_hosts

    as_json = run.as_json
    with run.results() as screen:
        show_hosts(run.hosts, screen, as_json=as_json)
