"""Count what a node does for a command: processes, programs and system calls, by strace on the node itself.

sshd's own part, which is the same for all drivers, is left out: its ForceCommand starts each command under strace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.drivers import DRIVERS
from bench.results import Cost
from bench.run import measure_phase, node_spec, prepare
from bench.work import Work
from lab.fleet.fleet import Fleet

_TRACED = 'ForceCommand exec strace -f -qq -c -o /var/log/trace.$$ -- sh -c "$SSH_ORIGINAL_COMMAND"'
_LINE = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(?P<calls>\d+) +(?P<errors>\d+ +)?(?P<name>\w+)$", re.MULTILINE)
_FORKS = ("fork", "vfork", "clone", "clone3")
_EXECS = ("execve", "execveat")


def parse_summary(summary: str) -> dict[str, int]:
    """Parse what `strace -c` writes: system call -> calls that succeeded; the key `total` counts failed ones too."""
    lines = [found for found in _LINE.finditer(summary) if found["name"] != "total"]
    done = {found["name"]: int(found["calls"]) - int(found["errors"] or 0) for found in lines}
    return {**done, "total": sum(int(found["calls"]) for found in lines)}


def sum_calls(driver: str, phase: str, summaries: Sequence[str]) -> Cost:
    """Return the sum of the summaries of all commands of one run."""
    calls = [parse_summary(summary) for summary in summaries]

    def total(*names: str) -> int:
        return sum(each.get(name, 0) for each in calls for name in names)

    return Cost(driver, phase, total(*_FORKS), total(*_EXECS), total("total"))


def count_calls(name: str, work: Work) -> Iterator[Cost]:
    """Run a driver's phases on a traced node, and yield the cost of each.

    Raises RuntimeError if a phase fails or leaves no summary.
    """
    driver = DRIVERS[name]
    with Fleet(1, nodes=[node_spec(_TRACED)]) as fleet:
        prepare(fleet, work)
        for phase in driver.commands:
            figures = measure_phase(fleet, driver, phase)
            summaries = list(_take_summaries(fleet))
            if figures["code"] or not summaries:
                raise RuntimeError(f"{name}, {phase}, traced: exit code {figures['code']}: {figures['said']}")
            yield sum_calls(name, phase, summaries)


def _take_summaries(fleet: Fleet) -> Iterator[str]:
    """Yield the summaries on the node, and remove them, so that each counts once."""
    folder: Path = fleet.path(fleet.hosts[0], "/var/log")
    for path in sorted(folder.glob("trace.*")):
        yield path.read_text(encoding="utf-8")
        path.unlink()
