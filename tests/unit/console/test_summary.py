"""What a person or a machine reads: every problem with its next step, nothing secret, nothing interpreted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from tasks.console.output import Screen
from tasks.console.progress import progress
from tasks.console.summary import MAX_TEXT_LENGTH, STYLES, show_summary
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tests.support.screens import Terminal, plain
from tests.support.verbs import VERBS

OK = Item(Kind.SYSCTL, "vm.x", ItemStatus.OK, "1", "1")
DRIFT = OK._replace(status=ItemStatus.DRIFT, got="0")
MISSING = Item(Kind.MODULE, "ip_vs", ItemStatus.MISSING, "loaded", None, "kernel 6 does not have it", "install it")


def next_command(verb: str, hosts: Iterable[str], user: str) -> str:
    names = ",".join(f"{user}@{host}" if user else host for host in hosts)
    return f"fab -H {names} {verb} --profile mine"


def shown(*results: NodeResult, verb: str = "verify", interrupted: bool = False) -> str:
    screen, stream = plain()
    show_summary(RunSummary(VERBS[verb], results, 2.1, interrupted), screen, next_command=next_command)
    return stream.getvalue()


def test_a_next_step_names_the_nodes_and_keeps_the_flags_of_the_run() -> None:
    step = "fab -H NODE fix vm.x='1' takes that line back"
    item = Item(Kind.SYSCTL, "vm.x", ItemStatus.BOOT_DRIFT, "0", "1", "by a repair", step)
    assert "→ fab -H n1 fix --profile mine vm.x='1' takes that line back" in shown(
        NodeResult("n1", Status.DRIFT, (item,))
    )
    both = shown(*(NodeResult(name, Status.DRIFT, (item,)) for name in ("n1", "n2")))
    assert "→ fab -H n1,n2 fix --profile mine vm.x='1' takes that line back" in both
    failed = shown(NodeResult("n1", Status.FAILED, problem="given up", next_step="see: fab -H NODE plan"))
    as_root = item._replace(next_step="as root: fab -H root@NODE verify")
    assert "→ as root: fab -H root@n1 verify --profile mine\n" in shown(NodeResult("n1", Status.DRIFT, (as_root,)))
    assert "→ see: fab -H n1 plan --profile mine" in failed


def test_equal_nodes_are_one_row_and_the_worst_come_first() -> None:
    text = shown(
        NodeResult("n1", Status.OK, (OK,), seconds=1),
        NodeResult("n2", Status.OK, (OK,), seconds=2),
        NodeResult("n9", Status.UNREACHABLE, problem="no route", next_step="look at the cable"),
    )
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert rows[0] == ["NODES", "STATUS", "MODULES", "KEYS", "FILES", "CHECKS", "TIME"]
    assert rows[1][:2] == ["n9", "unreachable"]
    assert rows[2] == ["n[1-2]", "ok", "1 ok", "2.0 s"]
    assert "  no route\n    → look at the cable\n" in text
    assert text.endswith("verify: 3 nodes in 2.1 s: 1 unreachable, 2 ok\n")


def test_a_problem_says_what_was_expected_what_was_got_and_what_to_do() -> None:
    text = shown(NodeResult("n1", Status.DRIFT, (OK, DRIFT, MISSING)))
    assert re.search(r"sysctl +vm\.x +expected 1, got 0\n", text)
    assert re.search(r"module +ip_vs +missing: expected loaded, got absent \(kernel 6 does not have it\)\n", text)
    assert "    → install it\n" in text
    assert "    → fab -H n1 apply --profile mine\n" in text


CRI = Item(Kind.CHECK, "CRI", ItemStatus.DRIFT, "a runtime", "none", "", "install containerd")
SWAP = Item(Kind.CHECK, "Swap", ItemStatus.ADVISORY, "off", "/swap", "kubelet does not start", "swapoff -a")


def test_checks_come_first_with_their_own_step_and_apply_is_offered_only_for_the_rest() -> None:
    text = shown(NodeResult("n1", Status.DRIFT, (DRIFT, SWAP, CRI)))
    lines = [re.sub(" +", " ", line.strip()) for line in text.split("\n\n")[1].splitlines()]
    assert lines == [
        "n1",
        "check CRI expected a runtime, got none",
        "→ install containerd",
        "sysctl vm.x expected 1, got 0",
        "→ fab -H n1 apply --profile mine",
        "check Swap advisory: expected off, got /swap (kubelet does not start)",
        "→ swapoff -a",
    ]
    assert "apply" not in shown(NodeResult("n1", Status.DRIFT, (CRI,)))


def test_a_remedy_that_nobody_would_read_is_said_in_words() -> None:
    screen, stream = plain()
    run = RunSummary(VERBS["verify"], (NodeResult("n1", Status.DRIFT, (DRIFT,)),), 1.0)
    show_summary(run, screen, next_command=lambda *_: "")
    assert "    → apply with the same -H and flags\n" in stream.getvalue()


def test_advice_is_shown_of_a_node_that_is_right() -> None:
    text = shown(NodeResult("n1", Status.OK, (OK, SWAP)))
    assert "check   Swap  advisory: expected off, got /swap" in text
    assert re.search(r"n1 +ok +1 ok +1 advisory", text)
    assert text.endswith("1 ok\n")


@pytest.mark.parametrize("verb", ["plan", "apply", "fix"])
def test_only_verify_has_a_column_of_checks(verb: str) -> None:
    assert "CHECKS" not in shown(NodeResult("n1", Status.OK, (OK,)), verb=verb)


def test_an_empty_value_is_called_empty() -> None:
    assert "expected 1, got empty" in shown(NodeResult("n1", Status.DRIFT, (DRIFT._replace(got=""),)))


MANY = tuple(DRIFT._replace(name=f"vm.x{number}") for number in range(40))


@pytest.mark.parametrize(("verb", "lines", "rest"), [("plan", 40, False), ("verify", 12, True), ("apply", 12, True)])
def test_only_plan_shows_all_of_many_problems(verb: str, lines: int, rest: bool) -> None:
    text = shown(NodeResult("n1", Status.DRIFT, MANY), verb=verb)
    assert text.count("expected 1, got 0") == lines
    assert ("… and 28 more" in text) is rest


def test_plan_says_that_nothing_was_written_and_an_interruption_says_so() -> None:
    assert "1 to change (nothing was written)" in shown(NodeResult("n1", Status.DRIFT, (DRIFT,)), verb="plan")
    assert shown(NodeResult("n1", Status.OK), interrupted=True).endswith("1 node in 2.1 s: 1 ok — interrupted\n")


@pytest.mark.parametrize("status", [ItemStatus.MISSING, ItemStatus.BOOT_DRIFT, ItemStatus.HOST_MANAGED])
def test_plan_counts_a_certain_failure_as_that(status: ItemStatus) -> None:
    bad = OK._replace(status=status)
    results = (
        NodeResult("n1", Status.DRIFT, (DRIFT,)),
        NodeResult("n2", Status.DRIFT, (DRIFT, bad)),
        NodeResult("n3", Status.DRIFT, (bad,)),
        NodeResult("n4", Status.OK, (OK,)),
    )
    assert shown(*results, verb="plan").endswith(": 2 would fail, 1 to change, 1 ok (nothing was written)\n")
    assert shown(*results[1:3], verb="plan").endswith(": 2 would fail (nothing was written)\n")
    assert shown(*results).endswith(": 3 drift, 1 ok\n")


def test_a_file_that_only_root_may_read_is_not_a_certain_failure() -> None:
    unread = Item(Kind.FILE, "/etc/sysctl.d/x.conf", ItemStatus.BOOT_DRIFT, "readable", "not readable")
    assert ": 1 to change (" in shown(NodeResult("n1", Status.DRIFT, (unread,)), verb="plan")


def test_notes_are_told_once_with_the_nodes_they_are_about() -> None:
    text = shown(*(NodeResult(f"n{number}", Status.OK, notes=("x is y",)) for number in (1, 2, 3)))
    assert text.count("note: n[1-3]: x is y") == 1


def test_a_run_of_nothing_can_be_shown() -> None:
    assert "0 nodes" in shown()


@pytest.mark.parametrize("text", ["[bold]x[/bold]", ":smile:", "[/]", "https://x", "{x}"])
def test_what_nodes_say_is_never_taken_for_markup(text: str) -> None:
    item = DRIFT._replace(name=text, got=text, why=text, expected=text)
    said = shown(NodeResult(text, Status.FAILED, (item,), problem=text, next_step=text, notes=(text,)))
    assert said.count(text) >= 7
    screen, stream = plain()
    with progress(screen, "apply", 1) as watching:
        watching.finished(NodeResult(text, Status.FAILED, problem=text))
    assert text in stream.getvalue()


def test_long_lines_are_not_broken_where_nobodys_terminal_limits_them() -> None:
    said = "x" * 500
    assert said in shown(NodeResult("n1", Status.FAILED, problem=said))


def test_every_status_has_a_style() -> None:
    assert set(STYLES) == set(Status)


@contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[None]:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **variables}.items():
        monkeypatch.setenv(name, value)
    yield


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_is_coloured_unless_it_is_not_to_be(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal()
    with environment(monkeypatch, **variables):
        show_summary(
            RunSummary(VERBS["verify"], (NodeResult("n1", Status.FAILED),), 1.0),
            Screen(stream),
            next_command=next_command,
        )
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]", stream.getvalue())) is coloured


def test_a_pipe_gets_no_escapes() -> None:
    assert "\x1b" not in shown(NodeResult("n1", Status.FAILED, problem="x"))


def test_a_text_that_a_node_made_long_is_cut_and_a_command_never_is() -> None:
    long = "y" * 10_000
    item = MISSING._replace(name=long, why=long, next_step=f"install {long}")
    text = shown(NodeResult("n1", Status.FAILED, (item,), problem=long, next_step=long, notes=(long,)))
    assert "y" * (MAX_TEXT_LENGTH + 1) not in text
    assert text.count("→ the next step is too long to show: --format json has it\n") == 2
    assert "install y" not in text
