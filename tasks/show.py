"""fab -H … show"""

from functools import partial

from tasks.command import Run, fleet_task
from tasks.console import files, output
from tasks.core.model import Host, NodeResult, Status
from tasks.remote.node import Conversation, Work, rendered


@fleet_task()
def show(run: Run) -> None:
    """Print the files as they would be uploaded, resolved for each node. Writes nothing."""
    as_json = run.as_json
    found: dict[str, dict[str, str]] = {}
    summary = run.on_each(partial(_collect, found))
    files.show(found, output.results(), as_json=as_json)
    if any(result.status is not Status.OK for result in summary.results):
        run.finish(summary)


def _collect(found: dict[str, dict[str, str]], talk: Conversation, host: Host, work: Work) -> NodeResult:
    """Keeps one host's files by path."""
    found[host.name] = {file.path: "\n".join(file.lines) + "\n" for file in rendered(talk, host, work)}
    return NodeResult(host.name, Status.OK)
