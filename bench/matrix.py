"""List the runs. Repetitions are the outer loop: the first has every row, so only later ones can be lost to time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.drivers import DRIVERS, FIRST, FLOOR, NODEPREP, PHASES, SECOND, TUNED, VERIFY

APPLIES = (FIRST, SECOND)
NEAR_DELAY, FAR_DELAY = 50.0, 100.0  # ms; round trips are counted from the difference
DELAYS = (NEAR_DELAY, FAR_DELAY)
# The drivers that are light enough for hundreds of nodes.
LIGHT = (NODEPREP, FLOOR, TUNED, "xargs-ssh-tuned")
SCRIPTS = (*LIGHT, "xargs-ssh", "clush", "pssh", "parallel-ssh", "fabric-naive")
ALONE = (NODEPREP, FLOOR, TUNED, "ssh", "clush", "parallel-ssh")
TRACED = (NODEPREP, "ssh", "fabric-naive", "pyinfra", "ansible-script", "ansible-batched")


@dataclass(frozen=True, slots=True)
class Block:
    """Describe runs in one place: nodes, their round trip in ms, repetitions, drivers, phases.

    Without a first apply the nodes begin in the desired state.
    """

    nodes: int
    rtt_ms: float
    reps: int
    drivers: tuple[str, ...]
    phases: tuple[str, ...] = PHASES


QUICK = (
    Block(50, 0, 3, (*SCRIPTS, "pyinfra", "ansible-script")),
    Block(50, 0, 1, ("ansible-batched",)),
    Block(1, NEAR_DELAY, 3, ALONE),
    Block(1, FAR_DELAY, 3, ALONE),
    Block(50, NEAR_DELAY, 3, LIGHT),
    Block(200, 0, 3, (NODEPREP,), (FIRST, SECOND, VERIFY)),
    Block(5000, 0, 1, (NODEPREP,), (VERIFY,)),
    Block(200, 0, 1, LIGHT[1:], (FIRST,)),
    Block(1, 0, 1, (*SCRIPTS, "pyinfra", "ansible-script"), (FIRST, VERIFY)),
    Block(10, 0, 1, (*SCRIPTS, "pyinfra", "ansible-script"), (FIRST, VERIFY)),
)
_ALL = tuple(name for name in DRIVERS if name not in ("ssh", "ansible-idiomatic"))
FULL = (
    Block(1, 0, 5, tuple(DRIVERS)),
    Block(10, 0, 3, (*_ALL, "ansible-idiomatic")),
    Block(50, 0, 5, _ALL),
    Block(1, NEAR_DELAY, 5, tuple(name for name in DRIVERS if name != "ansible-idiomatic")),
    Block(1, FAR_DELAY, 5, tuple(name for name in DRIVERS if name != "ansible-idiomatic")),
    Block(50, NEAR_DELAY, 3, _ALL),
    Block(200, 0, 3, (*SCRIPTS, "pyinfra", "ansible-script")),
    Block(200, NEAR_DELAY, 3, LIGHT),
    Block(1000, 0, 3, LIGHT),
    Block(5000, 0, 3, (NODEPREP,)),
    Block(5000, 0, 1, LIGHT[1:], APPLIES),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Describe one driver's turn on a fresh fleet. rtt_ms: the round trip in ms. rep: the repetition, from 0."""

    driver: str
    nodes: int
    rtt_ms: float
    rep: int
    phases: tuple[str, ...]


def turns(blocks: Sequence[Block]) -> Iterator[Turn]:
    """Yield all turns of the blocks: a repetition after the other, and in each a different driver of a block first."""
    for rep in range(max(block.reps for block in blocks)):
        for block in blocks:
            if rep < block.reps:
                first = rep % len(block.drivers)
                for driver in (*block.drivers[first:], *block.drivers[:first]):
                    yield Turn(driver, block.nodes, block.rtt_ms, rep, block.phases)
