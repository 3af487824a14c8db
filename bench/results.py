"""Keep the measured rows, and calculate medians. A median is of the runs that reached the desired state."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """Record one run of one command.

    rtt_ms: the nodes' round trip in ms. rep: the repetition, from 0. code: the exit code. wrong: the number of nodes
    that were not in the desired state. wall, cpu, node_cpu: seconds; cpu is that of the client's process tree, node_cpu
    that of all nodes. memory_mb: the peak of the tree in MB. connections: the number of all. sent, received: the bytes
    of all IP packets, 0 for near nodes, where no wire counts them. said: the last lines of a failed command.
    """

    driver: str
    phase: str
    nodes: int
    rtt_ms: float
    rep: int
    code: int
    wrong: int
    wall: float
    cpu: float
    memory_mb: float
    node_cpu: float
    connections: int
    sent: int
    received: int
    said: str = ""

    @property
    def good(self) -> bool:
        """Return True if the command succeeded and left no node wrong."""
        return self.code == 0 and self.wrong == 0


@dataclass(frozen=True, slots=True)
class Cost:
    """Count what one node did for one command, without sshd's own part: processes, programs, system calls."""

    driver: str
    phase: str
    forks: int
    execs: int
    calls: int


@dataclass(frozen=True, slots=True)
class Results:
    """Hold the results of one bench. machine: name -> value of the machine's data and the peers' versions."""

    machine: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def good(self, driver: str, phase: str, nodes: int, rtt_ms: float = 0) -> list[Row]:
        """Return the good rows of one driver's phase in one place."""
        wanted = (driver, phase, nodes, rtt_ms)
        return [row for row in self.rows if row.good and (row.driver, row.phase, row.nodes, row.rtt_ms) == wanted]

    def median(self, figure: str, driver: str, phase: str, nodes: int, rtt_ms: float = 0) -> float | None:
        """Return the median of one figure, a field of Row; None if there is no good row."""
        values = [float(getattr(row, figure)) for row in self.good(driver, phase, nodes, rtt_ms)]
        return statistics.median(values) if values else None

    def peak(self, driver: str, phase: str, nodes: int, rtt_ms: float = 0) -> float | None:
        """Return the most memory in MB of all good runs, None without one. Samples miss peaks: a median is too low."""
        return max((row.memory_mb for row in self.good(driver, phase, nodes, rtt_ms)), default=None)

    def drivers(self, nodes: int, rtt_ms: float) -> list[str]:
        """Return the drivers that ran in a place, good or not, the fastest first apply first."""
        names = dict.fromkeys(row.driver for row in self.rows if (row.nodes, row.rtt_ms) == (nodes, rtt_ms))
        return sorted(names, key=lambda name: self.median("wall", name, "first", nodes, rtt_ms) or float("inf"))

    def places(self) -> list[tuple[float, int]]:
        """Return each (round trip in ms, number of nodes) at which something ran."""
        return sorted({(row.rtt_ms, row.nodes) for row in self.rows if row.nodes})

    def failures(self) -> list[Row]:
        """Return the rows of runs that failed or left a node wrong."""
        return [row for row in self.rows if not row.good]

    def round_trips(self, driver: str, phase: str, delays: Sequence[float]) -> float | None:
        """Return the round trips of a run on one node: the time that the larger delay adds, in units of the difference.

        delays: two round trips in ms. None if one of them has no good row.
        """
        walls = [[row.wall for row in self.good(driver, phase, 1, delay)] for delay in delays]
        if not all(walls):
            return None
        near, far = map(min, walls)  # a disturbance can only make a run longer
        return (far - near) * 1000 / (delays[1] - delays[0])


_KINDS: dict[str, type[Row | Cost]] = {"row": Row, "cost": Cost}


def write(path: Path, results: Results) -> None:
    """Write one JSON object a line: the machine, the rows, the costs."""
    lines: Iterable[dict[str, object]] = (
        {"kind": "machine", **results.machine},
        *({"kind": "row", **asdict(row)} for row in results.rows),
        *({"kind": "cost", **asdict(cost)} for cost in results.costs),
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read(path: Path) -> Results:
    """Read a file that write() wrote. Raises ValueError, KeyError or TypeError for any other content."""
    results = Results()
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        kind = values.pop("kind")
        if kind == "machine":
            results.machine.update(values)
            continue
        made = _KINDS[kind](**values)
        (results.rows if isinstance(made, Row) else results.costs).append(made)  # type: ignore[arg-type]
    return results
