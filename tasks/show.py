"""fab -H … show"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.verb import fleet_task

if TYPE_CHECKING:
    from tasks.command import Run


@fleet_task()
def show(run: Run) -> None:
    """Print the files as they would be uploaded, resolved for each node. Writes nothing."""
    from tasks.console import files
    from tasks.core.model import Status
    from tasks.remote import node

    as_json = run.as_json
    summary = run.on_each(node.show)
    found = {result.host: node.texts(result) for result in summary.results if result.status is Status.OK}
    with run.results() as screen:
        files.show(found, summary.results, screen, as_json=as_json)
    run.finish_listing(summary)
