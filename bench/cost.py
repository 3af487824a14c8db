"""What a node pays for a command: processes, programs and system calls, counted by strace on the node itself.

sshd's own part, the same for all, is not in it: sshd's ForceCommand puts strace between sshd and each command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.drivers import DRIVERS
from bench.results import Cost
from bench.run import once, prepare, spec
from bench.work import Work
from lab.fleet.fleet import Fleet

_TRACED = 'ForceCommand exec strace -f -qq -c -o /var/log/trace.$$ -- sh -c "$SSH_ORIGINAL_COMMAND"'
_LINE = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(?P<calls>\d+) +(?P<errors>\d+ +)?(?P<name>\w+)$", re.M)
_FORKS = ("fork", "vfork", "clone", "clone3")
_EXECS = ("execve", "execveat")


def parse(summary: str) -> dict[str, int]:
    """How often each system call succeeded, from what `strace -c` writes; the key `total` counts all that were made."""
    lines = [found for found in _LINE.finditer(summary) if found["name"] != "total"]
    done = {found["name"]: int(found["calls"]) - int(found["errors"] or 0) for found in lines}
    return {**done, "total": sum(int(found["calls"]) for found in lines)}


def count(driver: str, phase: str, summaries: Sequence[str]) -> Cost:
    """The sum over all commands of one run."""
    calls = [parse(summary) for summary in summaries]

    def total(*names: str) -> int:
        return sum(each.get(name, 0) for each in calls for name in names)

    return Cost(driver, phase, total(*_FORKS), total(*_EXECS), total("total"))


def costs(name: str, work: Work) -> Iterator[Cost]:
    """A driver's phases on a node that is traced. Raises RuntimeError when one fails, or nothing was counted."""
    driver = DRIVERS[name]
    with Fleet(1, nodes=[spec(_TRACED)]) as fleet:
        prepare(fleet, work)
        for phase in driver.commands:
            figures = once(fleet, driver, phase)
            summaries = list(_taken(fleet))
            if figures["code"] or not summaries:
                raise RuntimeError(f"{name}, {phase}, traced: exit code {figures['code']}: {figures['said']}")
            yield count(name, phase, summaries)


def _taken(fleet: Fleet) -> Iterator[str]:
    """The summaries on the node, each handed out once."""
    folder: Path = fleet.path(fleet.hosts[0], "/var/log")
    for path in sorted(folder.glob("trace.*")):
        yield path.read_text(encoding="utf-8")
        path.unlink()
