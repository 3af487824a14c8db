"""Two hundred nodes, forty of them with one of four faults: the run waits for them no longer than for one, each is
reported with its own reason, and a retry connects to those alone."""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from lab.fleet.fleet import Address, Fleet
from tests.ssh.suite import Suite, deaf

SECONDS, FORKS = 30, 20
REFUSED, MUTE, SILENT, DROPPING = (range(start, start + 10) for start in (0, 10, 20, 30))
FAULTY = 40
# For a node's modprobe: kills its sshd in the middle of the work, like a lost connection.
DROP = """\
if [ -e /root/drop ]; then
  pid=$$
  while [ "$pid" -gt 1 ]; do
    read -r _ name _ parent _ </.proc/$pid/stat
    [ "$name" != "(sshd)" ] || kill -9 "$pid"
    pid=$parent
  done
  exit 1
fi"""


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(200) as many:
        yield many


def dropping(fleet: Fleet, host: str) -> None:
    original = fleet.read(host, "/usr/sbin/modprobe")
    fleet.write(host, "/usr/sbin/modprobe", original.replace("\n", f"\n{DROP}\n", 1))
    fleet.write(host, "/root/drop", "")


def reason(number: int) -> str:
    """Return a part of the problem that a node must be reported with."""
    kinds = {
        "Connection refused": REFUSED,
        "no answer on port": MUTE,
        "does not speak SSH in time": SILENT,
        "the connection was lost": DROPPING,
    }
    return next((text for text, numbers in kinds.items() if number in numbers), "")


def test_forty_of_two_hundred_in_trouble_are_named_and_a_retry_touches_those_alone(suite: Suite) -> None:
    fleet, report = suite.fleet, suite.folder / "run.json"
    numbers = list(range(200))
    random.Random(200).shuffle(numbers)
    for number in numbers:
        suite.add(f"n{number}", fleet.hosts[number])
    healthy_lines = dict(suite.lines)
    with contextlib.ExitStack() as faults:
        for number in REFUSED:
            suite.add(f"n{number}", Address(fleet.dead_address().host, 10 + number))
        for number in MUTE:
            suite.add(f"n{number}", faults.enter_context(deaf(fleet.dead_address().host)))
        for number in SILENT:
            fleet.silence(fleet.hosts[number])
        for number in DROPPING:
            dropping(fleet, fleet.hosts[number])
        words = ("--forks", str(FORKS), "--timeout", str(SECONDS), "--report", str(report))
        done = suite.json("apply", *words, seconds=150)
    assert done.code == 4
    assert done.data["counts"] == {"unreachable": FAULTY, "changed": 200 - FAULTY}
    named = {node["host"]: node["problem"] for node in done.data["nodes"] if node["status"] == "unreachable"}
    assert set(named) == {f"n{number}" for number in range(FAULTY)}
    assert [host for host, problem in named.items() if reason(int(host[1:])) not in problem] == []
    healthy_work = sum(node["seconds"] for node in done.data["nodes"] if node["status"] == "changed") / FORKS
    assert done.data["seconds"] < SECONDS + healthy_work
    fleet.settle()

    for number in SILENT:
        fleet.silence(fleet.hosts[number], silent=False)
    for number in DROPPING:
        fleet.path(fleet.hosts[number], "/root/drop").unlink()
    suite.lines |= healthy_lines
    before = [fleet.connections(host) for host in fleet.hosts]
    again = suite.json("apply", "--retry", str(report), "--report", str(report), seconds=150)
    assert (again.code, Counter(again.statuses.values())) == (0, {"changed": FAULTY})
    touched = [fleet.connections(host) - before[number] for number, host in enumerate(fleet.hosts)]
    assert touched == [1] * FAULTY + [0] * (200 - FAULTY)
    assert json.loads(report.read_text())["counts"] == {"changed": FAULTY}
    assert suite.json("verify", seconds=150).data["counts"] == {"ok": 200}
