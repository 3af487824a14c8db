"""Write docs/bench.md: the targets first, then all that was measured, and the failures last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.drivers import DRIVERS, FIRST, FORKS, PHASES, PLAN, SECOND, VERIFY
from bench.matrix import DELAYS, NEAR_DELAY
from bench.results import Results, Row
from bench.targets import targets

VERB = {FIRST: "first apply", SECOND: "second apply", PLAN: "plan", VERIFY: "verify"}

_HEAD = f"""\
# How fast

Written by `make bench`, not by hand (`make bench-full` takes longer and has more): nodeprep's real commands, with
start-up, templates, plan, second look and summary, beside its peers, on the same real sshd nodes in the same run.

**Quote the ratios, not the seconds.** The nodes share this machine with the client. Their sshd is most of the work and
the same for everybody, so a ratio here is nearer to 1 than it is with nodes elsewhere.

All do the same work: the files, modules and keys of the profile `kubernetes`. A first apply changes everything, a
second nothing. After each run the state of each node is checked from outside; medians are of the runs that reached it,
and what failed stands at the end. All work on {FORKS} nodes at a time (the one-flight prototype, which shows the floor,
on 250), each in its best practice: pipelining and ControlPersist for Ansible, as few operations as possible for pyinfra
and Ansible ("batched"), one script for whoever can run one.
"""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _number(value: float | None, digits: int = 2, scale: float = 1) -> str:
    return "-" if value is None else f"{value * scale:.{digits}f}"


def markdown(results: Results) -> str:
    """Return the whole page."""
    lines = [
        _HEAD,
        *_machine(results),
        *_targets(results),
        "![cost of a first apply, and of verify, against the number of nodes](bench.svg)",
        "",
    ]
    for rtt_ms, nodes in results.places():
        lines += _place(results, nodes, rtt_ms)
    lines += [*_wire(results), *_node_cost(results), *_failures(results)]
    return "\n".join(lines).rstrip() + "\n"


def _machine(results: Results) -> Iterator[str]:
    yield from (f"- {name}: {value}" for name, value in results.machine.items())
    yield ""


def _targets(results: Results) -> Iterator[str]:
    yield "## Targets\n"
    yield "floor: the same ratio for the one-flight prototype, which checks nothing before, keeps nothing for a"
    yield "rollback, flushes nothing and reports nothing.\n"
    rows = [
        (
            target.work,
            target.against,
            f"{target.limit:g}" + (f", then {target.later:g}" if target.later else ""),
            *(_number(ratio, 3 if target.limit < 0.1 else 2) for ratio in (target.measured, target.floor)),
            target.met,
        )
        for target in targets(results)
    ]
    yield from _table(("nodeprep", "against", "at most", "measured", "floor", "met"), rows)


def _place(results: Results, nodes: int, rtt_ms: float) -> Iterator[str]:
    far = f", {rtt_ms:g} ms away" if rtt_ms else ""
    yield f"## {nodes:,} node{'s' * (nodes > 1)}{far}\n"
    head = (
        "who",
        "what",
        "runs",
        "wall s",
        "client CPU ms a node",
        "peak MB",
        "node CPU ms a node",
        "connections a node",
    )
    rows = [
        _row(results, driver, phase, nodes, rtt_ms)
        for driver in results.drivers(nodes, rtt_ms)
        for phase in PHASES
        if any(row.phase == phase for row in results.rows if _at(row, driver, nodes, rtt_ms))
    ]
    yield from _table(head, rows)


def _at(row: Row, driver: str, nodes: int, rtt_ms: float) -> bool:
    return (row.driver, row.nodes, row.rtt_ms) == (driver, nodes, rtt_ms)


def _row(results: Results, driver: str, phase: str, nodes: int, rtt_ms: float) -> Sequence[str]:
    def median(figure: str) -> float | None:
        return results.median(figure, driver, phase, nodes, rtt_ms)

    return (
        DRIVERS[driver].label,
        VERB[phase],
        str(len(results.good(driver, phase, nodes, rtt_ms))),
        _number(median("wall")),
        _number(median("cpu"), 1, 1000 / nodes),
        _number(results.peak(driver, phase, nodes, rtt_ms), 0),
        _number(median("node_cpu"), 0, 1000 / nodes),
        _number(median("connections"), 1, 1 / nodes),
    )


def _wire(results: Results) -> Iterator[str]:
    yield "## One node's wire\n"
    near, far = DELAYS
    yield f"Round trips: the extra time of the fastest run at {far:g} ms over {near:g} ms, divided by the difference."
    yield "Bytes: of IP packets, with their headers and acknowledgements.\n"
    rows = [
        (
            DRIVERS[driver].label,
            VERB[phase],
            _number(results.round_trips(driver, phase, DELAYS), 1),
            _number(results.median("sent", driver, phase, 1, NEAR_DELAY), 0),
            _number(results.median("received", driver, phase, 1, NEAR_DELAY), 0),
        )
        for driver in results.drivers(1, NEAR_DELAY)
        for phase in PHASES
        if phase in DRIVERS[driver].commands
    ]
    yield from _table(("who", "what", "round trips", "bytes sent", "bytes received"), rows)


def _node_cost(results: Results) -> Iterator[str]:
    yield "## What one node does\n"
    yield "Counted by strace on the node, below sshd: processes started, programs run, system calls. Most calls of a"
    yield "first apply are those of the fleet's modprobe, a shell script.\n"
    rows = [
        (DRIVERS[cost.driver].label, VERB[cost.phase], str(cost.forks), str(cost.execs), f"{cost.calls:,}")
        for cost in results.costs
    ]
    yield from _table(("who", "what", "processes", "programs", "system calls"), rows)


def _failures(results: Results) -> Iterator[str]:
    yield "## What failed\n"
    failures = results.failures()
    yield from (
        f"- {row.driver}, {row.phase}, {row.nodes} nodes, {row.rtt_ms:g} ms, repetition {row.rep + 1}: "
        f"exit code {row.code}, {row.wrong} nodes not as desired. {row.said}"
        for row in failures
    )
    yield f"{len(failures)} of {len(results.rows)} runs."
