"""The batches of a run (--serial), and the failures after which it ends early (--max-fail)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from tasks.core.errors import UsageError

T = TypeVar("T")


class Count(NamedTuple):
    """A number of nodes, or a percentage of all that are worked on."""

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """Return the number of nodes out of all, rounded down."""
        return total * self.number // 100 if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


class Rollout(NamedTuple):
    """The course of a run. sizes: of its batches, the last one repeats; () is one batch of all. max_fail: the number of
    nodes that may fail before no further one starts; None: any, but a batch in which every node failed is the last."""

    sizes: tuple[Count, ...] = ()
    max_fail: Count | None = None

    def batches(self, hosts: Sequence[T]) -> list[Sequence[T]]:
        """Cut the hosts, in their order, into batches of at least 1."""
        cut: list[Sequence[T]] = []
        start = 0
        while start < len(hosts):
            size = self._size(len(cut), len(hosts))
            cut.append(hosts[start : start + size])
            start += size
        return cut

    def _size(self, number: int, total: int) -> int:
        return max(1, self.sizes[min(number, len(self.sizes) - 1)].of(total)) if self.sizes else total

    def failure_limit_reached(self, failed: int, total: int) -> str:
        """Return the reason why no further node may start; empty if one may. failed: nodes that failed or were
        unreachable, so far."""
        if self.max_fail is None or failed <= self.max_fail.of(total):
            return ""
        return f"not started: {failed} of {total} nodes failed, --max-fail allows {self.max_fail}"

    def canary_failed(self, failed: int, batch: Sequence[object]) -> str:
        """Return the reason why no further batch may start after one with so many failures; empty if one may."""
        if self.max_fail is not None or failed < len(batch):
            return ""
        return "not started: no node of the batch before came through (--max-fail overrides this)"


def parse_rollout(serial: str, max_fail: str) -> Rollout:
    """Parse --serial (`1,10,25%`) and --max-fail (`3` or `10%`), each empty if it was not given. Raises UsageError."""
    sizes = tuple(_parse_count("serial", word.strip(), 1) for word in serial.split(",")) if serial else ()
    return Rollout(sizes, _parse_count("max-fail", max_fail, 0) if max_fail else None)


def _parse_count(flag: str, text: str, least: int) -> Count:
    match = re.fullmatch("([0-9]{1,9})(%?)", text, re.ASCII)
    count = Count(int(match[1]), bool(match[2])) if match else Count(-1)
    if count.number < least or (count.percent and count.number > 100):
        numbers = "numbers above 0 or percentages, such as 1,10,25%" if least else "a number or a percentage"
        raise UsageError(f"--{flag}: expected {numbers}, got {text!r}")
    return count
