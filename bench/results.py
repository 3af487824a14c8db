"""What was measured: rows, and what is read from them. A median is of the runs that reached the desired state."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One run of one command.

    wall, cpu, node_cpu: seconds; cpu is the client's whole process tree, node_cpu that of all nodes. memory_mb: the
    peak of the tree. sent, received: bytes of IP packets in all, 0 for near nodes, where no wire counts them.
    connections: in all. wrong: nodes that were not in the desired state. said: a failed command's last words.
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
        """Whether it did its work."""
        return self.code == 0 and self.wrong == 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command made one node do, beyond sshd's own part: processes started, programs run, system calls."""

    driver: str
    phase: str
    forks: int
    execs: int
    calls: int


@dataclass(frozen=True, slots=True)
class Results:
    """Everything of one run of the bench. machine: what it ran on, and with which versions."""

    machine: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def good(self, driver: str, phase: str, nodes: int, rtt_ms: float = 0) -> list[Row]:
        """The good rows of one driver's phase."""
        wanted = (driver, phase, nodes, rtt_ms)
        return [row for row in self.rows if row.good and (row.driver, row.phase, row.nodes, row.rtt_ms) == wanted]

    def median(self, figure: str, driver: str, phase: str, nodes: int, rtt_ms: float = 0) -> float | None:
        """The median of one figure; None where nothing good was measured."""
        values = [float(getattr(row, figure)) for row in self.good(driver, phase, nodes, rtt_ms)]
        return statistics.median(values) if values else None

    def peak(self, driver: str, phase: str, nodes: int, rtt_ms: float = 0) -> float | None:
        """The most memory in MB that any good run had: samples miss peaks, so a median would be too low."""
        return max((row.memory_mb for row in self.good(driver, phase, nodes, rtt_ms)), default=None)

    def drivers(self, nodes: int, rtt_ms: float) -> list[str]:
        """Who ran there, good or not, the fastest first apply first."""
        names = dict.fromkeys(row.driver for row in self.rows if (row.nodes, row.rtt_ms) == (nodes, rtt_ms))
        return sorted(names, key=lambda name: self.median("wall", name, "first", nodes, rtt_ms) or float("inf"))

    def places(self) -> list[tuple[float, int]]:
        """Every (round trip in ms, number of nodes) at which something ran."""
        return sorted({(row.rtt_ms, row.nodes) for row in self.rows if row.nodes})

    def failures(self) -> list[Row]:
        """The rows that did not do their work."""
        return [row for row in self.rows if not row.good]

    def round_trips(self, driver: str, phase: str, delays: Sequence[float]) -> float | None:
        """How often one host's run waits for the wire: what the larger delay adds, in units of the difference."""
        walls = [[row.wall for row in self.good(driver, phase, 1, delay)] for delay in delays]
        if not all(walls):
            return None
        near, far = map(min, walls)  # what disturbs a run only ever adds to it
        return (far - near) * 1000 / (delays[1] - delays[0])


_KINDS: dict[str, type[Row] | type[Cost]] = {"row": Row, "cost": Cost}


def write(path: Path, results: Results) -> None:
    """One JSON object a line: the machine, the rows, the costs."""
    lines: Iterable[dict[str, object]] = (
        {"kind": "machine", **results.machine},
        *({"kind": "row", **asdict(row)} for row in results.rows),
        *({"kind": "cost", **asdict(cost)} for cost in results.costs),
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read(path: Path) -> Results:
    """What write() wrote. Raises ValueError, KeyError or TypeError on anything else."""
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
