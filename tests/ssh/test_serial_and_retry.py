"""Batches, reports, and repeating only the unfinished hosts: connections are counted on the nodes' side."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet.fleet import Address, Fleet
from lab.fleet.tools import wait_until
from tests.ssh.suite import Completed, Suite


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(24) as many:
        yield many


def report(suite: Suite) -> Path:
    return suite.folder / "run.json"


def counted(suite: Suite, hosts: dict[str, str]) -> dict[str, int]:
    """Return the number of connections to each host."""
    return {name: suite.fleet.connections(host) for name, host in hosts.items()}


def fresh(suite: Suite, *names: str) -> dict[str, str]:
    return {name: suite.fresh(name) for name in names}


def progress(done: Completed) -> list[str]:
    """Return the hosts in the order in which they finished, with "batch" where a batch began."""
    return [line.split()[1] if " batch " in line else line.split()[2].rstrip(":") for line in done.stderr.splitlines()]


def test_batches_go_through_groups_as_they_were_named_in_h(suite: Suite) -> None:
    hosts = fresh(suite, "w1", "w2", "w3", "m1", "m2")
    command = suite.command("apply", "--serial", "1,2", "--forks", "1", on="masters,workers")
    inventory = suite.folder / "hosts.ini"
    masters = [line for line in inventory.read_text().splitlines(keepends=True) if line.startswith("m")]
    workers = [line for line in inventory.read_text().splitlines(keepends=True) if line.startswith("w")]
    inventory.write_text("".join(["[workers]\n", *workers, "[masters]\n", *masters]))
    done = suite.run(command)
    assert done.code == 0
    assert progress(done) == ["batch", "m1", "batch", "m2", "w1", "batch", "w2", "w3"]
    assert "apply batch 2/3: 2 nodes" in done.stderr
    assert counted(suite, hosts) == dict.fromkeys(hosts, 1)


def test_a_dead_canary_ends_the_run_and_the_rest_is_never_connected_to(suite: Suite) -> None:
    suite.add("canary", suite.fleet.dead_address())
    hosts = fresh(suite, "n1", "n2", "n3")
    done = suite.fab("apply", "--serial", "1,100%", "--report", str(report(suite)))
    assert done.code == 4
    assert counted(suite, hosts) == dict.fromkeys(hosts, 0)
    assert re.search(r"^n\[1-3\] +skipped", done.stdout, re.MULTILINE)
    assert "no node of the batch before came through" in done.stdout
    left = json.loads(report(suite).read_text())
    assert left["counts"] == {"unreachable": 1, "skipped": 3}
    assert (left["exit_code"], left["interrupted"]) == (4, False)


def test_max_fail_lets_its_number_fail_and_stops_before_the_next_batch(suite: Suite) -> None:
    for port, name in enumerate(("dead1", "dead2"), 7):
        suite.add(name, Address(suite.fleet.dead_address().host, port))
    hosts = fresh(suite, "n1", "n2", "n3")
    done = suite.json("apply", "--serial", "3,1", "--max-fail", "1")
    assert done.code == 4
    assert list(done.statuses.values()) == ["unreachable", "unreachable", "changed", "skipped", "skipped"]
    assert done.problem("n2").startswith("not started: 2 of 5 nodes failed, --max-fail allows 1")
    assert counted(suite, hosts) == {"n1": 1, "n2": 0, "n3": 0}
    assert suite.json("apply", "--serial", "3,1", "--max-fail", "40%").statuses["n3"] == "changed"


def test_without_batches_max_fail_starts_no_further_node(suite: Suite) -> None:
    hosts = fresh(suite, "n1")
    suite.add("dead", suite.fleet.dead_address())
    hosts |= fresh(suite, "n2", "n3")
    done = suite.json("apply", "--forks", "1", "--max-fail", "0")
    assert (done.code, list(done.statuses.values())) == (4, ["changed", "unreachable", "skipped", "skipped"])
    assert counted(suite, hosts) == {"n1": 1, "n2": 0, "n3": 0}


def test_the_report_is_what_json_prints(suite: Suite) -> None:
    fresh(suite, "n1", "n2")
    done = suite.json("plan", "--report", str(report(suite)))
    assert report(suite).read_text() == done.stdout


def test_a_report_that_cannot_be_written_is_told_before_any_connection(suite: Suite) -> None:
    hosts = fresh(suite, "n1")
    done = suite.fab("apply", "--report", str(suite.folder / "none" / "run.json"))
    assert (done.code, done.stdout) == (2, "")
    assert "cannot be written" in done.stderr
    assert counted(suite, hosts) == {"n1": 0}


def test_a_report_that_cannot_be_written_any_more_costs_nothing_but_the_report(suite: Suite) -> None:
    gate = suite.hold(suite.fresh("n"))
    folder = suite.folder / "reports"
    folder.mkdir()
    process = suite.start(suite.command("apply", "--format", "json", "--report", str(folder / "run.json")))
    try:
        wait_until(gate.with_name("under-way").exists, "the node is at work")
        folder.rmdir()
        gate.touch()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 4
    assert json.loads(out)["counts"] == {"changed": 1}
    assert b"run.json could not be written: No such file or directory" in err


def test_the_last_line_is_the_command_that_does_only_the_rest(suite: Suite) -> None:
    """The command is run as printed, after the nodes were healed."""
    hosts = fresh(suite, "n1", "n2", "n3")
    healed = {name: suite.lines[name] for name in ("n1", "n3")}
    for port, name in enumerate(healed, 7):
        suite.add(name, Address(suite.fleet.dead_address().host, port))
    done = suite.fab("apply", "--report", str(report(suite)))
    last = done.stdout.splitlines()[-1].removeprefix("again, only what is left: ")
    assert last.endswith(f"--retry {report(suite)}")
    suite.lines |= healed
    suite.command("apply")  # writes the inventory
    again = suite.run([suite.command("apply")[0], *shlex.split(last)[1:]])
    assert again.code == 0, again.text
    assert counted(suite, hosts) == {"n1": 1, "n2": 1, "n3": 1}
    assert "again, only what is left" not in again.stdout


def test_without_a_report_the_last_line_names_the_nodes(suite: Suite) -> None:
    fresh(suite, "n1")
    for number in (7, 8):
        suite.add(f"n{number}", Address(suite.fleet.dead_address().host, number))
    last = suite.fab("apply").stdout.splitlines()[-1]
    assert last.startswith("again, only what is left: fab -H 'n[7-8]' apply --inventory ")
