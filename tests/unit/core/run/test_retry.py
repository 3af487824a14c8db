"""--retry: what a report leaves to do."""

from __future__ import annotations

import pytest

from tasks.console.json_report import format_json
from tasks.core.errors import SourceError
from tasks.core.result import NodeResult, RunSummary, Status
from tasks.core.run.retry import unfinished_hosts
from tests.support.verbs import VERBS


def report(*results: NodeResult) -> str:
    return "".join(format_json(RunSummary(VERBS["apply"], results, 1.0)))


def test_what_failed_was_unreachable_or_was_not_reached_is_done_again_in_its_order() -> None:
    text = report(
        NodeResult("late", Status.SKIPPED, problem="interrupted before it started"),
        *(NodeResult(str(status), status) for status in Status if status is not Status.SKIPPED),
        NodeResult("twin", Status.SKIPPED, same_as="failed"),
    )
    assert unfinished_hosts(text, "run.json") == ("late", "failed", "unreachable")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "run.json:1: expected the report of an earlier run .*got no JSON"),
        ('{"nodes": [\n{"host"', "run.json:2: expected the report of an earlier run .*got no JSON"),
        ("[]", "run.json: expected the report of an earlier run .*got another JSON document"),
        ("7", "got another JSON document"),
        ("null", "got another JSON document"),
        ('{"hosts": []}', "got another JSON document"),
        ('{"nodes": {"n1": {}}}', "got another JSON document"),
        ('{"nodes": [{"host": "n1", "status": "fine", "same_as": ""}]}', "got another JSON document"),
        ('{"nodes": [{"host": "n1", "status": [], "same_as": ""}]}', "got another JSON document"),
        ('{"nodes": [{"host": {}, "status": "failed", "same_as": ""}]}', "a node whose host is not a text"),
        ("[" * 100_000, "got (another JSON document|no JSON)"),
        ('{"nodes": []}', "nothing to do again: all of its 0 nodes are done"),
        (report(NodeResult("n1", Status.OK), NodeResult("n2", Status.DRIFT)), "all of its 2 nodes are done"),
    ],
)
def test_a_file_that_is_no_report_or_leaves_nothing_is_a_mistake_that_names_it(text: str, problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        unfinished_hosts(text, "run.json")
