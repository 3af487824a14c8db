"""Set the targets of nodeprep's speed: ratios of medians of one bench, and the most that each may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.drivers import DRIVERS, FIRST, FLOOR, NODEPREP, SECOND, TUNED, VERIFY
from bench.matrix import DELAYS, NEAR_DELAY
from bench.results import Results

APPLY = {FIRST: "first apply", SECOND: "second apply"}


@dataclass(frozen=True, slots=True)
class Target:
    """Hold one target.

    work: nodeprep's side of the ratio. against: the other side. limit: the most that it may be. measured: the ratio,
    None if a run is missing or failed. later: the next limit. floor: the ratio of the prototype that does the least for
    this work.
    """

    work: str
    against: str
    limit: float
    measured: float | None
    later: float | None = None
    floor: float | None = None

    @property
    def met(self) -> str:
        """Return yes, **no** or not measured."""
        return "not measured" if self.measured is None else "yes" if self.measured <= self.limit else "**no**"


def _ratio(mine: float | None, theirs: float | None) -> float | None:
    return mine / theirs if mine is not None and theirs else None


def compare(
    results: Results, peer: str, phase: str, nodes: int, rtt_ms: float, limit: float, later: float | None = None
) -> Target:
    """Compare nodeprep's wall time with a peer's, for the same phase in the same place. Returns the target."""
    mine, floor, theirs = (results.median("wall", name, phase, nodes, rtt_ms) for name in (NODEPREP, FLOOR, peer))
    where = f"{nodes} near nodes" if not rtt_ms else f"{nodes} node{'s' * (nodes > 1)} at {rtt_ms:g} ms"
    work = f"{where}, {APPLY[phase]}"
    return Target(work, DRIVERS[peer].label, limit, _ratio(mine, theirs), later, _ratio(floor, theirs))


_NEAR = {
    "clush": 0.5,
    "pssh": 0.5,
    "xargs-ssh": 0.5,
    "pyinfra": 0.4,
    "fabric-naive": 0.4,
    "ansible-script": 0.15,
    "ansible-batched": 0.03,
    TUNED: 1.3,
}


def targets(results: Results) -> list[Target]:
    """Return all targets, in the order of the page."""
    return [*_walls(results), *_scale(results), *_client(results), *_trips(results), *_startup(results)]


def _walls(results: Results) -> Iterator[Target]:
    for peer, limit in _NEAR.items():
        for phase in APPLY:
            yield compare(results, peer, phase, 50, 0, limit)
    for phase in APPLY:
        yield compare(results, "ssh", phase, 1, NEAR_DELAY, 1.0, later=0.7)
    for phase in APPLY:
        yield compare(results, "xargs-ssh-tuned", phase, 50, NEAR_DELAY, 0.8)


def _scale(results: Results) -> Iterator[Target]:
    verify, apply = (results.median("wall", NODEPREP, phase, 200) for phase in (VERIFY, FIRST))
    yield Target("200 near nodes, verify", "nodeprep's first apply", 0.8, _ratio(verify, apply))
    few, many = (_each(results, NODEPREP, VERIFY, nodes) for nodes in (200, 5000))
    yield Target("client CPU a node at 5,000, verify", "at 200", 1.1, _ratio(many, few))
    few, many = (results.peak(NODEPREP, VERIFY, nodes) for nodes in (200, 5000))
    yield Target("peak memory at 5,000, verify", "at 200, same --forks", 1.5, _ratio(many, few))


def _each(results: Results, driver: str, phase: str, nodes: int) -> float | None:
    cpu = results.median("cpu", driver, phase, nodes)
    return None if cpu is None else cpu / nodes


def _client(results: Results) -> Iterator[Target]:
    for phase, name in APPLY.items():
        mine, theirs = (_each(results, driver, phase, 50) for driver in (NODEPREP, TUNED))
        yield Target(f"client CPU a node, 50 near nodes, {name}", DRIVERS[TUNED].label, 1.5, _ratio(mine, theirs))


def _trips(results: Results) -> Iterator[Target]:
    for phase, name, limit in ((VERIFY, VERIFY, 8), (FIRST, APPLY[FIRST], 9), (SECOND, APPLY[SECOND], 9)):
        yield Target(
            f"round trips, {name}", "(a number, not a ratio)", limit, results.round_trips(NODEPREP, phase, DELAYS)
        )


def _startup(results: Results) -> Iterator[Target]:
    listing, version = (results.median("wall", name, "start-up", 0) for name in ("fab --list", "fab --version"))
    yield Target("start-up, `fab --list`", "`fab --version`", 1.5, _ratio(listing, version))
