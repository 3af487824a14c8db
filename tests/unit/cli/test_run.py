"""A run's results: where they go, the commands to type next, and the exit code."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import invoke
import pytest

from tasks.cli.options import Options
from tasks.cli.run import CommandLine, Run
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.selection import select_hosts
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tests.support.project import FAB, environment, fab
from tests.support.verbs import VERBS

FORMATS = ("text", "json", "junit")
WRITTEN = [("hosts", "text", 0), ("hosts", "json", 0), *(("plan", name, 4) for name in FORMATS)]  # nobody is there


@pytest.mark.parametrize("style", [{}, {"FORCE_COLOR": "1"}])
@pytest.mark.parametrize(("verb", "name", "code"), WRITTEN)
def test_a_closed_pipe_is_no_reason_for_a_word_or_another_exit_code(
    verb: str, name: str, code: int, style: dict[str, str], lonely: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        done = fab(lonely, "-H", "nodes", verb, "--format", name, stdout=stdout, **style)
    assert done.returncode == code, done.stderr
    assert not re.search("Error|Traceback", done.stderr), done.stderr


@pytest.mark.parametrize("style", [{}, {"FORCE_COLOR": "1"}])
@pytest.mark.parametrize(("verb", "name"), [(verb, name) for verb, name, _ in WRITTEN])
def test_a_full_disk_under_stdout_is_one_clear_line(verb: str, name: str, style: dict[str, str], lonely: Path) -> None:
    with Path("/dev/full").open("wb") as stdout:
        done = fab(lonely, "-H", "nodes", verb, "--format", name, stdout=stdout, **style)
    assert done.returncode == 4, done.stderr
    assert done.stderr.endswith(f"{verb}: stdout could not be written: No space left on device\n")
    assert not re.search("Error|Traceback", done.stderr), done.stderr


@pytest.mark.parametrize(("words", "name"), [(("render",), "files"), (("rollback", "--list"), "snapshots")])
def test_a_list_in_json_is_one_document_also_where_a_node_failed(
    words: tuple[str, ...], name: str, lonely: Path
) -> None:
    done = fab(lonely, "-H", "nodes", *words, "--format", "json")
    data = json.loads(done.stdout)
    assert (done.returncode, data[name]) == (4, {})
    assert [(node["host"], node["status"]) for node in data["unfinished"]] == [("n1", "unreachable")]
    assert data["unfinished"][0]["problem"]
    assert data["unfinished"][0]["next_step"]


NOWHERE: Any = None  # for what a finished run does not look at any more
DRIFT = Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", "0")


@pytest.mark.parametrize("name", ["text", "json"])
def test_a_twin_is_no_reason_to_print_more_than_a_list(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", stream := io.StringIO())
    results = (NodeResult("n1", Status.OK), NodeResult("n2", Status.SKIPPED, problem="the same", same_as="n1"))
    run = Run(VERBS["render"], Options(format=name), (), NOWHERE, NOWHERE)
    run.finish_listing(RunSummary(VERBS["render"], results, 1.0))
    assert stream.getvalue() == ""
    with pytest.raises(invoke.Exit) as ended:
        run.finish_listing(RunSummary(VERBS["render"], results, 1.0, interrupted=True))
    assert ended.value.code == 130


def test_without_a_stdout_there_are_no_results(project: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {FAB} -H nodes hosts >&-"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def said_after(
    typed: str, verb: str, *statuses: Status, item: Item = DRIFT, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The commands that are told at the end of a run of -H."""
    words = typed.split()
    inventory = parse_ini("[nodes]\nnode-1 ansible_user=admin\nnode-2\n", "hosts.ini")
    hosts = select_hosts(inventory, words[words.index("-H") + 1], reachable_name=lambda _: True)
    results = [NodeResult(host.name, status, (item,)) for host, status in zip(hosts, statuses, strict=True)]
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    with pytest.raises(invoke.Exit):
        run = Run(VERBS[verb], Options(), hosts, NOWHERE, NOWHERE, typed=CommandLine(("fab", *words), VERBS))
        run.finish(RunSummary(VERBS[verb], tuple(results), 1.0))
    return re.findall(r"fab -H .*", stream.getvalue())


def test_the_remedy_applies_what_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = "-H root@node-1:3,node-2,me@far verify --profile mine --host-keys off --ignore CRI --report run.json"
    said = said_after(typed, "verify", Status.DRIFT, Status.OK, Status.DRIFT, monkeypatch=monkeypatch)
    assert "fab -H me@far,root@node-1:3 apply --profile mine --host-keys off" in said


@pytest.mark.parametrize("left", ["root@node-1", "node-1:3", "root@node-1:3", "node-1", "me@far:3"])
def test_what_is_left_is_reached_as_it_was_typed(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = said_after(f"-H {left},node-2 plan", "plan", Status.FAILED, Status.OK, monkeypatch=monkeypatch)
    assert said == [f"fab -H {left} plan"]


def test_a_step_as_root_keeps_names_and_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    item = Item(Kind.SYSCTL, "vm.x", ItemStatus.MISSING, "1", None, "hidden", "as root: fab -H root@NODE verify")
    typed = "-H me@node-1:3,node-2 verify --forks 3"
    both = said_after(typed, "verify", Status.DRIFT, Status.DRIFT, item=item, monkeypatch=monkeypatch)
    assert both == ["fab -H root@node-1:3,root@node-2 verify --forks 3"]


def test_what_would_end_the_same_is_not_offered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Item(Kind.MODULE, "nosuch", ItemStatus.MISSING, "loaded", None, "not there", "check its spelling")
    done = said_after(
        "-H node-1,node-2 apply", "apply", Status.FAILED, Status.OK, item=missing, monkeypatch=monkeypatch
    )
    assert done == []


def test_a_repair_of_several_nodes_needs_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    item = Item(Kind.SYSCTL, "vm.x", ItemStatus.BOOT_DRIFT, "1", "0", "by a file", "fab -H NODE fix vm.x=1")
    both = said_after(
        "-H node-1,node-2 verify", "verify", Status.DRIFT, Status.DRIFT, item=item, monkeypatch=monkeypatch
    )
    assert both == ["fab -H 'node-[1-2]' fix --yes vm.x=1"]
    one = said_after("-H node-1 verify", "verify", Status.DRIFT, item=item, monkeypatch=monkeypatch)
    assert one == ["fab -H node-1 fix vm.x=1"]


def test_a_dry_run_is_a_plan() -> None:
    seen = []

    class Dry(Run):
        def on_each(self, step: Any) -> RunSummary:
            seen.append((self.verb.name, step.__name__))
            return RunSummary(self.verb, (), 1.0)

    Dry(VERBS["verify"], Options(format="json"), (), NOWHERE, NOWHERE, dry=True).with_summary(NOWHERE)
    assert seen == [("plan", "plan_host")]
