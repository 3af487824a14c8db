"""--retry: what a report leaves to do, and the command that does it."""

from __future__ import annotations

import shlex

import pytest

from tasks.cli.followup import MAX_COMMAND_LENGTH, next_command, retry_command
from tasks.console.json_report import format_json
from tasks.core.errors import SourceError
from tasks.core.result import NodeResult, RunSummary, Status
from tasks.core.run.retry import unfinished_hosts


def report(*results: NodeResult) -> str:
    return "".join(format_json(RunSummary("apply", results, 1.0)))


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
        ('{"nodes": [{"host": {}, "status": "failed", "same_as": ""}]}', "a node whose host is no text"),
        ("[" * 100_000, "got (another JSON document|no JSON)"),
        ('{"nodes": []}', "nothing to do again: all of its 0 nodes are done"),
        (report(NodeResult("n1", Status.OK), NodeResult("n2", Status.DRIFT)), "all of its 2 nodes are done"),
    ],
)
def test_a_file_that_is_no_report_or_leaves_nothing_is_a_mistake_that_names_it(text: str, problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        unfinished_hosts(text, "run.json")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("fab -H nodes apply --report run.json", "fab -H nodes apply --report run.json --retry run.json"),
        ("fab apply --retry old.json --report run.json", "fab apply --report run.json --retry run.json"),
        ("fab -H 'a,!b' -i 'my key' apply --retry=old.json", "fab -H 'a,!b' -i 'my key' apply --retry run.json"),
    ],
)
def test_with_a_report_the_command_is_the_same_and_retries_it(typed: str, expected: str) -> None:
    assert retry_command(shlex.split(typed), "run.json", "n1") == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("fab -H nodes apply", "fab -H 'n[1-2]' apply"),
        ("fab -Hnodes apply --serial 1,10", "fab -H 'n[1-2]' apply --serial 1,10"),
        ("fab --hosts nodes -i k fix vm.x=1 --yes", "fab -H 'n[1-2]' -i k fix vm.x=1 --yes"),
        ("fab --hosts=nodes --prompt-for-sudo-password apply", "fab -H 'n[1-2]' --prompt-for-sudo-password apply"),
        ("fab apply --retry run.json --host-keys off", "fab -H 'n[1-2]' apply --host-keys off"),
    ],
)
def test_without_a_report_the_command_names_the_nodes(typed: str, expected: str) -> None:
    assert retry_command(shlex.split(typed), "", "n[1-2]") == expected


def test_a_command_that_nobody_would_read_is_not_told() -> None:
    assert retry_command(["fab", "-H", "all", "apply"], "", "n" * MAX_COMMAND_LENGTH) == ""
    assert retry_command(["fab", "-H", "all", "apply"], "run.json", "n" * MAX_COMMAND_LENGTH) != ""


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("fab -H nodes verify", "fab -H 'n[1-2]' apply"),
        (
            "fab -H nodes -i 'my key' verify --profile mine --only sysctl --inventory=lab.ini --host-keys off",
            "fab -H 'n[1-2]' -i 'my key' apply --profile mine --only sysctl --inventory=lab.ini --host-keys off",
        ),
        ("fab verify -H verify --engine dask=tcp://s:1", "fab -H 'n[1-2]' apply --engine dask=tcp://s:1"),
        (
            "fab -i verify --prompt-for-sudo-password verify",
            "fab -H 'n[1-2]' -i verify --prompt-for-sudo-password apply",
        ),
        ("fab -H a verify --profile verify", "fab -H 'n[1-2]' apply --profile verify"),
        ("fab verify --retry old.json --report run.json --ignore CRI,Mem --format text", "fab -H 'n[1-2]' apply"),
        ("fab -H a verify --ignore=CRI --serial 1,10 --max-fail 3", "fab -H 'n[1-2]' apply --serial 1,10 --max-fail 3"),
    ],
)
def test_what_was_looked_at_is_applied_with_the_same_profiles_by_the_same_way(typed: str, expected: str) -> None:
    assert next_command(shlex.split(typed), "apply", "n[1-2]") == expected


def test_an_apply_that_nobody_would_read_or_that_was_not_typed_is_not_told() -> None:
    assert next_command(["fab", "-H", "all", "verify"], "apply", "n" * MAX_COMMAND_LENGTH) == ""
    assert next_command(["fab", "-H", "all", "look"], "apply", "n1") == ""


@pytest.mark.parametrize(
    ("typed", "verb", "expected"),
    [
        ("fab -H a fix vm.x=1 --yes --inventory lab.ini", "plan", "fab -H n1 plan --inventory lab.ini"),
        ("fab -H a apply --take-over --profile mine --only sysctl", "rollback", "fab -H n1 rollback"),
        ("fab -H a verify --profile mine --host-keys=off --ignore CRI", "fix", "fab -H n1 fix --host-keys=off"),
        ("fab --dry -H a apply --only=sysctl", "apply", "fab -H n1 --dry apply --only=sysctl"),
    ],
)
def test_what_a_verb_has_of_its_own_does_not_go_over_to_another(typed: str, verb: str, expected: str) -> None:
    assert next_command(shlex.split(typed), verb, "n1") == expected
