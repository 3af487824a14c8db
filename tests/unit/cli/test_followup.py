"""The commands to type next, and old words in a command line."""

from __future__ import annotations

import shlex

import pytest

from tasks.cli.followup import MAX_COMMAND_LENGTH, next_command, replace_old_words, retry_command
from tests.support.verbs import VERBS


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
    assert next_command(shlex.split(typed), VERBS["apply"], "n[1-2]", VERBS) == expected


def test_an_apply_that_nobody_would_read_or_that_was_not_typed_is_not_told() -> None:
    assert next_command(["fab", "-H", "all", "verify"], VERBS["apply"], "n" * MAX_COMMAND_LENGTH, VERBS) == ""
    assert next_command(["fab", "-H", "all", "look"], VERBS["apply"], "n1", VERBS) == ""


@pytest.mark.parametrize(
    ("typed", "verb", "expected"),
    [
        ("fab -H a fix vm.x=1 --yes --inventory lab.ini", "plan", "fab -H n1 plan --inventory lab.ini"),
        ("fab -H a apply --comment-out-conflicts --profile mine --only sysctl", "rollback", "fab -H n1 rollback"),
        (
            "fab -H a verify --profile mine --host-keys=off --ignore CRI",
            "fix",
            "fab -H n1 fix --profile mine --host-keys=off",
        ),
        ("fab --dry -H a apply --only=sysctl", "apply", "fab -H n1 --dry apply --only=sysctl"),
    ],
)
def test_what_a_verb_has_of_its_own_does_not_go_over_to_another(typed: str, verb: str, expected: str) -> None:
    assert next_command(shlex.split(typed), VERBS[verb], "n1", VERBS) == expected


@pytest.mark.parametrize(
    ("typed", "expected", "old"),
    [
        ("fab -H a show --format json", "fab -H a render --format json", {"show": "render"}),
        ("fab -H show render", "fab -H show render", {}),
        ("fab -H show show", "fab -H show render", {"show": "render"}),
        (
            "fab -H a apply --take-over",
            "fab -H a apply --comment-out-conflicts",
            {"--take-over": "--comment-out-conflicts"},
        ),
        ("fab -H a rollback --to=X", "fab -H a rollback --to-run=X", {"--to": "--to-run"}),
        ("fab -H a rollback --to X", "fab -H a rollback --to-run X", {"--to": "--to-run"}),
        ("fab -H a plan --profile show", "fab -H a plan --profile show", {}),
        ("fab -H a rollback --to-run X", "fab -H a rollback --to-run X", {}),
        ("fab", "fab", {}),
    ],
)
def test_old_words_become_new_ones_where_they_are_verbs_or_flags(
    typed: str, expected: str, old: dict[str, str]
) -> None:
    words, found = replace_old_words(shlex.split(typed), VERBS)
    assert (shlex.join(words), found) == (expected, old)
