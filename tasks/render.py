"""fab -H … render"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.cli.task import fleet_task
from tasks.core.verb import Verb

if TYPE_CHECKING:
    from tasks.cli.run import Run


@fleet_task(Verb("render", old_words=(("show", "render"),)))
def render(run: Run) -> None:
    """Print the files as they would be uploaded, resolved for each node. Writes nothing."""
    from tasks.console.listings import show_files
    from tasks.node import steps

    run.with_listing(steps.render_host, show_files)
