"""Five thousand nodes, the most that Kubernetes supports: memory, output and work for each node do not grow with their
number. Counted, not timed."""

from __future__ import annotations

import io
import json
import threading
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from rich.console import Console

from tasks.cli import followup as retry_followup
from tasks.console import hosts as shown_hosts
from tasks.console import output, summary
from tasks.console.json_report import format_json
from tasks.console.junit import write_junit
from tasks.console.live import LiveProgress
from tasks.console.progress import progress
from tasks.core.folding import fold
from tasks.core.host import Host
from tasks.core.inventory import connection
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.selection import duplicates, select_hosts
from tasks.core.memo import clear_caches, computed_calls
from tasks.core.profile import entries as profile_entries
from tasks.core.profile import profile
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tasks.fleet.pool import run_on_all
from tasks.fleet.slots import Slot
from tests.support.builders import profile as a_profile
from tests.support.verbs import VERBS

MANY = 5000
ITEMS = 43


def hosts(count: int = MANY) -> list[Host]:
    return [Host(f"n{number:04}", f"10.0.{number // 250}.{number % 250 + 1}") for number in range(1, count + 1)]


def healthy_result(host: Host) -> NodeResult:
    """Return a healthy node's result, with items of its own that equal those of the other nodes."""
    items = (
        Item(Kind.SYSCTL, f"vm.x{number}", ItemStatus.OK, f"{number}" * 2, f"{number}" * 2) for number in range(ITEMS)
    )
    return NodeResult(host.name, Status.OK, tuple(items), seconds=0.1)


def on_slot(host: Host, _: Slot) -> NodeResult:
    """Do the task of a healthy node."""
    return healthy_result(host)


class SilentProgress:
    """A Progress that does nothing."""

    def batch(self, number: int, of: int, size: int) -> None:
        """Do nothing."""

    def started(self, host: str) -> None:
        """Do nothing."""

    def finished(self, result: NodeResult) -> None:
        """Do nothing."""

    def interrupted(self) -> None:
        """Do nothing."""


def run(count: int, forks: int = 8) -> RunSummary:
    return run_on_all(VERBS["verify"], hosts(count), on_slot, forks, SilentProgress())


# Kept


def test_equal_items_of_all_nodes_are_the_same_objects() -> None:
    results = run(MANY).results
    assert len(results) == MANY
    assert {len(result.items) for result in results} == {ITEMS}
    assert len({id(result.items) for result in results}) == 1
    assert len({id(item) for result in results for item in result.items}) == ITEMS


def kept(count: int) -> int:
    """Return the bytes that a run keeps in memory, without its hosts."""
    some = hosts(count)
    run_on_all(VERBS["verify"], some[:10], on_slot, 8, SilentProgress())  # so that caches are filled
    tracemalloc.start()
    try:
        result = run_on_all(VERBS["verify"], some, on_slot, 8, SilentProgress())
        return tracemalloc.get_traced_memory()[0] if len(result.results) == count else -1
    finally:
        tracemalloc.stop()


def test_a_healthy_node_costs_less_than_half_a_kilobyte_of_memory() -> None:
    assert (kept(1500) - kept(500)) / 1000 < 512


def test_no_more_threads_than_forks_are_alive() -> None:
    before, most = threading.active_count(), 0

    def task(host: Host, _: Slot) -> NodeResult:
        nonlocal most
        most = max(most, threading.active_count())
        return NodeResult(host.name, Status.OK)

    run_on_all(VERBS["verify"], hosts(), task, 30, SilentProgress())
    assert most - before <= 30


# Shown


def text_of(results: Iterable[NodeResult], **more: Any) -> str:
    def next_command(verb: str, names: Iterable[str], _: str) -> str:
        return retry_followup.next_command(["fab", "verify"], VERBS[verb], fold(names), VERBS)

    stream = io.StringIO()
    summary.show_summary(
        RunSummary(VERBS["verify"], tuple(results), 60.0), output.Screen(stream), next_command=next_command, **more
    )
    return stream.getvalue()


def test_thousands_of_equal_nodes_are_one_row_with_their_names_folded() -> None:
    text = text_of(NodeResult(host.name, Status.OK) for host in hosts(4800))
    assert text.splitlines()[1].split()[:2] == ["n[0001-4800]", "ok"]
    assert len(text.splitlines()) < 6


def drifting(host: Host) -> NodeResult:
    got = Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", host.name)
    return NodeResult(host.name, Status.DRIFT, (got,), notes=(f"about {host.name}",))


def test_thousands_of_different_troubles_are_a_screen_of_them_and_how_many_more() -> None:
    bad = [NodeResult("n9999", Status.UNREACHABLE, problem="no route"), *map(drifting, hosts())]
    text = text_of(bad)
    assert text.count("expected 1, got n") == summary.MAX_GROUPS - 1
    assert text.splitlines()[1].split()[:2] == ["n9999", "unreachable"]
    assert (
        f"… and {MANY + 1 - summary.MAX_GROUPS} more groups of {MANY + 1 - summary.MAX_GROUPS} nodes: --report FILE"
        in text
    )
    assert f"… and {MANY - summary.MAX_GROUPS} more notes" in text
    assert len(text.splitlines()) < 8 * summary.MAX_GROUPS
    assert text.endswith("verify: 5001 nodes in 60.0 s: 1 unreachable, 5000 drift\n")


def test_of_equally_bad_groups_the_largest_is_shown_first() -> None:
    lone = [drifting(host) for host in hosts(30)]
    item = Item(Kind.MODULE, "ip_vs", ItemStatus.DRIFT, "loaded", "not loaded")
    many = [NodeResult(f"m{number}", Status.DRIFT, (item,)) for number in range(9)]
    assert text_of([*lone, *many]).splitlines()[1].split()[0] == "m[0-8]"


def test_names_that_do_not_fold_are_cut_and_counted() -> None:
    names = [
        f"node-{chr(97 + number % 26)}{chr(97 + number // 26 % 26)}{chr(97 + number // 676)}" for number in range(MANY)
    ]
    text = text_of(NodeResult(name, Status.FAILED, problem="x") for name in names)
    assert f",… ({MANY} nodes)" in text
    assert max(map(len, text.splitlines())) < 2 * summary.MAX_NAMES_LENGTH


def test_a_command_that_nobody_could_paste_is_not_told() -> None:
    item = Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", "0")
    text = text_of(NodeResult(f"x{'y' * number}z", Status.DRIFT, (item,)) for number in range(100))
    assert "→ apply with the same -H" in text


def test_hosts_are_one_line_each_however_many_and_long_they_are() -> None:
    stream = io.StringIO()
    many = [Host(host.name, host.address, variables={"x": "y" * 300}) for host in hosts()]
    shown_hosts.show_hosts(many, output.Screen(stream), as_json=False)
    lines = stream.getvalue().splitlines()
    assert len(lines) == MANY + 1
    assert {line.index("x=") for line in lines[1:]} == {lines[0].index("VARIABLES")}


@pytest.mark.parametrize("live", [True, False])
def test_progress_says_as_much_of_thousands_as_of_few(live: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=live, width=100)
    with progress(output.Screen(stream, console), "apply", MANY) as watching:
        assert isinstance(watching, LiveProgress) is live
        for host in hosts():
            watching.started(host.name)
        for host in hosts():
            watching.finished(NodeResult(host.name, Status.OK))
    text = stream.getvalue()
    assert text.count("n4999") == (0 if live else 1)
    assert len(text) < 60 * MANY


def test_a_report_is_made_of_pieces_of_one_node_each() -> None:
    results = [healthy_result(host) for host in hosts(200)]
    pieces = list(format_json(RunSummary(VERBS["verify"], tuple(results), 1.0)))
    assert len(pieces) == 2 + len(results)
    assert max(map(len, pieces)) < 2 * len(pieces[1])
    assert [node["host"] for node in json.loads("".join(pieces))["nodes"]] == [result.host for result in results]
    assert "".join(pieces).count("\n") == len(results) + 2


def test_junit_is_written_node_by_node() -> None:
    class Stream(io.StringIO):
        longest = 0

        def write(self, text: str) -> int:
            self.longest = max(self.longest, len(text))
            return super().write(text)

    sizes = []
    for count in (1, 50):
        stream = Stream()
        write_junit(RunSummary(VERBS["verify"], tuple(map(healthy_result, hosts(count))), 1.0), Console(file=stream))
        sizes.append(stream.longest)
    assert sizes[0] == sizes[1]


# Before the first connection


def test_hosts_whose_variables_all_differ_share_the_lines_that_do_not() -> None:
    wanted = "".join(f"vm.x{number} = {number}\n" for number in range(60)) + "vm.own = {{ own }}\n"
    template = a_profile(wanted)
    clear_caches()
    rendered = [profile.render(template, {"own": number}) for number in range(MANY)]
    assert computed_calls(profile_entries.parse_sysctl_line) == 60 + MANY
    assert [each.sysctl_entries()[-1].value for each in rendered[:2]] == ["0", "1"]


def test_hosts_with_the_same_variables_share_what_was_rendered() -> None:
    template = a_profile("vm.x = {{ x }}\n")
    clear_caches()
    for number in range(MANY):
        profile.render(template, {"x": 1, "inventory_hostname": f"n{number}"})
    assert computed_calls(profile._parse_lines) == 1


def test_each_host_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = connection.resolve_connection

    def counted(name: str, values: Any) -> Any:
        asked.append(name)
        return real(name, values)

    monkeypatch.setattr("tasks.core.inventory.inventory.resolve_connection", counted)
    chosen = select_hosts(parse_ini(f"[nodes]\nn[0001:{MANY}]\n", "hosts.ini"), "nodes", reachable_name=lambda _: False)
    assert len(chosen) == len(asked) == len(set(asked)) == MANY


def test_twins_among_thousands_are_found() -> None:
    many = hosts()
    assert duplicates([*many, Host("again", many[4321].address)]) == {"again": many[4321].name}


def test_the_names_of_a_whole_cluster_fold_into_a_word() -> None:
    names = [host.name for host in hosts() if host.name != "n0200"]
    assert fold(names) == "n[0001-0199,0201-5000]"
