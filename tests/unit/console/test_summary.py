"""What a person or a machine reads: every problem with its next step, nothing secret, nothing interpreted."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tasks.console import hosts, json_report, listings, output, summary
from tasks.console.live import LiveProgress
from tasks.console.plain import PlainProgress
from tasks.console.progress import progress
from tasks.console.styles import STYLES
from tasks.core.host import Become, Host, SshOptions
from tasks.core.redact import Secret
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tasks.core.sanitize import UNSAFE_CHARACTERS

OK = Item(Kind.SYSCTL, "vm.x", ItemStatus.OK, "1", "1")
DRIFT = OK._replace(status=ItemStatus.DRIFT, got="0")
MISSING = Item(Kind.MODULE, "ip_vs", ItemStatus.MISSING, "loaded", None, "kernel 6 does not have it", "install it")


def plain() -> tuple[output.Screen, io.StringIO]:
    """The console of a pipe."""
    stream = io.StringIO()
    return output.console(stream), stream


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """So it says."""
        return True


def going_on(verb: str, hosts: Iterable[str]) -> str:
    return f"fab -H {','.join(hosts)} {verb} --profile mine"


def shown(*results: NodeResult, verb: str = "verify", interrupted: bool = False) -> str:
    console, stream = plain()
    summary.show_summary(RunSummary(verb, results, 2.1, interrupted), console, going_on=going_on)
    return stream.getvalue()


def test_a_next_step_names_the_nodes_and_keeps_the_flags_of_the_run() -> None:
    step = "fab -H NODE fix vm.x='1' takes that line back"
    item = Item(Kind.SYSCTL, "vm.x", ItemStatus.BOOT_DRIFT, "0", "1", "by a repair", step)
    assert "→ fab -H n1 fix --profile mine vm.x='1' takes that line back" in shown(
        NodeResult("n1", Status.DRIFT, (item,))
    )
    both = shown(*(NodeResult(name, Status.DRIFT, (item,)) for name in ("n1", "n2")))
    assert "→ fab -H n1,n2 fix --profile mine --yes vm.x='1' takes that line back" in both
    failed = shown(NodeResult("n1", Status.FAILED, problem="given up", next_step="see: fab -H NODE plan"))
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
    console, stream = plain()
    run = RunSummary("verify", (NodeResult("n1", Status.DRIFT, (DRIFT,)),), 1.0)
    summary.show_summary(run, console, going_on=lambda *_: "")
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
    console, stream = plain()
    with progress(console, "apply", 1) as watching:
        watching.finished(NodeResult(text, Status.FAILED, problem=text))
    assert text in stream.getvalue()


def test_long_lines_are_not_broken_where_nobodys_terminal_limits_them() -> None:
    said = "x" * 500
    assert said in shown(NodeResult("n1", Status.FAILED, problem=said))


def test_every_status_has_a_style() -> None:
    assert set(STYLES) == set(Status)


def test_on_a_narrow_terminal_a_command_is_one_line_and_a_sentence_goes_on_further_right() -> None:
    stream = Terminal()
    screen = output.Screen(stream, Console(file=stream, force_terminal=True, width=60, highlight=False))
    command = f"fab -H n1 apply --inventory {'x' * 80} --profile mine"
    screen.line(command)
    screen.sentence("word " * 20, 2)
    first, *sentence = stream.getvalue().splitlines()
    assert first == command
    assert [line[:5].count(" ") for line in sentence] == [2, 4]
    assert all(len(line) <= 60 for line in sentence)


# Progress


def test_progress_without_a_terminal_is_one_line_for_each_finished_node() -> None:
    console, stream = plain()
    with progress(console, "verify", 3) as watching:
        assert isinstance(watching, PlainProgress)
        watching.started("n1")
        watching.finished(NodeResult("n1", Status.OK, seconds=1.24))
        watching.finished(NodeResult("n2", Status.DRIFT, seconds=0))
        watching.interrupted()
    assert stream.getvalue().splitlines() == [
        "verify [1/3] n1: ok (1.2 s)",
        "verify [2/3] n2: drift (0.0 s)",
        "verify: interrupted: no further node starts, those under way finish; Ctrl-C again gives them up",
    ]


def test_progress_on_a_terminal_is_gone_in_the_end_but_for_the_trouble() -> None:
    stream = Terminal()
    console = Console(file=stream, force_terminal=True, width=100, highlight=False)
    with progress(output.Screen(stream, console), "apply", 5) as watching:
        assert isinstance(watching, LiveProgress)
        for number in range(5):
            watching.started(f"n{number}")
        watching.finished(NodeResult("n0", Status.UNREACHABLE, problem="no [bold]route"))
        watching.finished(NodeResult("n1", Status.OK))
        watching.finished(NodeResult("n2", Status.FAILED, (Item(Kind.SYSCTL, "vm.x", ItemStatus.MISSING, "1", None),)))
        watching.interrupted()
    assert "n0: unreachable: no [bold]route" in stream.getvalue()
    assert "n2: failed: vm.x" in stream.getvalue()
    assert "apply: interrupted: no further node starts" in stream.getvalue()
    assert "n1: ok" not in stream.getvalue()


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
        summary.show_summary(
            RunSummary("verify", (NodeResult("n1", Status.FAILED),), 1.0), output.console(stream), going_on=going_on
        )
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]", stream.getvalue())) is coloured


def by_rich() -> tuple[output.Screen, io.StringIO]:
    """A pipe's screen that leaves everything to rich."""
    stream = io.StringIO()
    return output.Screen(stream, output.Screen(stream).rich), stream


CELLS = st.text("ab 1é中\t", max_size=60)


@given(st.text("ab é中→\t\n\x07\u200b", max_size=400), st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=3))
def test_a_pipe_gets_without_rich_what_rich_would_write(text: str, rows: list[tuple[str, str, str]]) -> None:
    written = []
    for screen, stream in (plain(), by_rich()):
        screen.line(text, "bold")
        screen.table([("NODES", "STATUS", "TIME"), *rows], ["red"] * len(rows))
        written.append(stream.getvalue())
    assert written[0] == written[1]


def test_a_pipe_gets_no_escapes() -> None:
    assert "\x1b" not in shown(NodeResult("n1", Status.FAILED, problem="x"))


# Hosts and files

HOST = Host(
    "n1",
    "192.0.2.1",
    port=2222,
    user="admin",
    groups=("nodes", "rack"),
    variables={"ansible_become_password": "hunter2", "ansible_password": "hunter3", "kube_proxy_mode": "ipvs"},
    ssh=SshOptions(password=Secret("hunter3")),
    become=Become(password=Secret("hunter2")),
)


@pytest.mark.parametrize("as_json", [True, False])
def test_hosts_are_shown_without_their_secrets(as_json: bool) -> None:
    console, stream = plain()
    hosts.show_hosts([HOST], console, as_json=as_json)
    text = stream.getvalue()
    assert "hunter" not in text
    assert "hunter" not in repr(HOST.ssh) + repr(HOST.become)
    for word in ("n1", "192.0.2.1", "2222", "admin", "nodes", "rack", "ipvs", "[secret]"):
        assert word in text


def test_hosts_are_json_too() -> None:
    console, stream = plain()
    hosts.show_hosts([HOST, Host("n2", "n2")], console, as_json=True)
    first, second = json.loads(stream.getvalue())["hosts"]
    assert (first["port"], first["groups"], second["port"], second["variables"]) == (2222, ["nodes", "rack"], None, {})


FOUND = {
    "n1": {"/etc/a.conf": "# [x]\nvm.x = 1\n"},
    "n2": {"/etc/a.conf": "# [x]\nvm.x = 1\n"},
    "n3": {"/etc/a.conf": "b\n"},
}


def test_equal_files_are_shown_once_and_to_the_letter() -> None:
    console, stream = plain()
    listings.show_files(FOUND, [], console, as_json=False)
    assert "==> /etc/a.conf on n[1-2] <==\n# [x]\nvm.x = 1\n" in stream.getvalue()
    assert "==> /etc/a.conf on n3 <==\nb\n" in stream.getvalue()


def test_files_are_json_too() -> None:
    console, stream = plain()
    left = NodeResult("n4", Status.UNREACHABLE, problem="no route", next_step="look at the cable")
    results = [*(NodeResult(host, Status.OK) for host in FOUND), left, NodeResult("n5", Status.SKIPPED, same_as="n1")]
    listings.show_files(FOUND, results, console, as_json=True)
    told = {"host": "n4", "status": "unreachable", "problem": "no route", "next_step": "look at the cable"}
    assert json.loads(stream.getvalue()) == {"files": FOUND, "unfinished": [told]}


def test_a_run_is_one_json_document_however_wide_it_is() -> None:
    console, stream = plain()
    json_report.write_json(RunSummary("plan", (NodeResult("n1", Status.OK, problem="ü" * 500),), 1.0), console)
    assert json.loads(stream.getvalue())["nodes"][0]["problem"] == "ü" * 500
    assert "ü" in stream.getvalue()


def test_a_secret_inside_a_variable_is_not_shown() -> None:
    """Also where only a name inside it, or a part of its name, says so."""
    stream = io.StringIO()
    inside = {"user": "a", "password": "hunter2", "list": [{"api_token": "hunter2"}]}
    host = Host("n1", "192.0.2.1", variables={"registry": inside, "aws_secret_access_key": "hunter2"})
    hosts.show_hosts([host], Console(file=stream, width=200), as_json=True)
    assert "hunter2" not in stream.getvalue()
    assert "[secret]" in stream.getvalue()


ODD = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\x1b\x9b\x7f\u202e\u2028\U000e0041\n"))
)
VALUES = st.recursive(ODD | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(ODD, inner))


@given(st.dictionaries(ODD, VALUES, max_size=4))
def test_json_says_everything_and_holds_nothing_that_a_terminal_acts_on(data: dict[str, object]) -> None:
    console, stream = plain()
    json_report.write_data(data, console)
    assert json.loads(stream.getvalue()) == data
    assert not UNSAFE_CHARACTERS.search(stream.getvalue().replace("\n", ""))


@given(ODD, ODD)
def test_hosts_hold_nothing_that_a_terminal_acts_on(name: str, value: str) -> None:
    console, stream = plain()
    hosts.show_hosts([Host("n1", "n1", variables={name: value, "more": {value: [value]}})], console, as_json=False)
    assert not UNSAFE_CHARACTERS.search(stream.getvalue().replace("\n", ""))
