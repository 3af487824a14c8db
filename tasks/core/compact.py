"""Equal things kept once: thousands of nodes of one kind have the same items, and each arrives as text of its own."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TypeVar

from tasks.core.model import NodeResult

T = TypeVar("T", bound=Hashable)


class Pool:
    """What was kept so far. Not for several threads at a time."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Hashable] = {}

    def result(self, result: NodeResult) -> NodeResult:
        """An equal result, whose items and texts are the objects of earlier ones where they are equal."""
        return replace(
            result,
            items=self.one(tuple(map(self.one, result.items))),
            problem=self.one(result.problem),
            next_step=self.one(result.next_step),
            notes=self.one(tuple(map(self.one, result.notes))),
        )

    def one(self, thing: T) -> T:
        """The first thing that was equal to this one."""
        return self._kept.setdefault(thing, thing)  # type: ignore[return-value]
