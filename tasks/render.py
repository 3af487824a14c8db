"""fab -H … render"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.cli.task import fleet_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.cli.run import Run
    from tasks.console.output import Screen
    from tasks.core.result import NodeResult


@fleet_task()
def render(run: Run) -> None:
    """Print the files as they would be uploaded, resolved for each node. Writes nothing."""
    from tasks.console import listings
    from tasks.core.result import Status
    from tasks.node import steps

    def listing(results: Sequence[NodeResult], screen: Screen, *, as_json: bool) -> None:
        found = {result.host: steps.rendered_files(result) for result in results if result.status is Status.OK}
        listings.show_files(found, results, screen, as_json=as_json)

    run.with_listing(steps.render_host, listing)
