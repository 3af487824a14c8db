"""Keep one object for equal items: thousands of nodes of one kind have them, each parsed from its own text."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar, overload

from tasks.core.result import Item, NodeResult

T = TypeVar("T", bound=Hashable)
FEW = 4  # the most items of its own that a node's result may have; with more, sharing saves little


class SharedItems(Sequence[Item]):
    """The items of a node that shares most of them: a tuple of the shared ones, with None in place of each of its own.

    A whole tuple for each node, because its hostname differs, takes 0.5 kB.
    """

    __slots__ = ("_own", "_shared")

    def __init__(self, shared: tuple[Item | None, ...], own: tuple[Item, ...]) -> None:
        self._shared, self._own = shared, own

    def __iter__(self) -> Iterator[Item]:
        own = iter(self._own)
        return (next(own) if item is None else item for item in self._shared)

    def __len__(self) -> int:
        return len(self._shared)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        return tuple(self)[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedItems | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


class Interner:
    """The objects that were kept so far. Not safe for several threads."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Hashable] = {}

    def result(self, result: NodeResult) -> NodeResult:
        """Return an equal result that shares equal items and texts with earlier results."""
        return replace(
            result,
            items=self.items(result.items),
            problem=self.intern(result.problem),
            next_step=self.intern(result.next_step),
            notes=self.intern(tuple(map(self.intern, result.notes))),
            files=self.intern(tuple(map(self.intern, result.files))),
        )

    def items(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return equal items that share objects with earlier ones."""
        shared: tuple[Item | None, ...] = tuple(map(self._kept.get, items))  # type: ignore[arg-type]
        own = tuple(item for item, known in zip(items, shared, strict=True) if known is None)
        self._kept.update(zip(own, own, strict=True))
        return (
            SharedItems(self.intern(shared), own)
            if 0 < len(own) <= FEW
            else self.intern(tuple(map(self.intern, items)))
        )

    def intern(self, thing: T) -> T:
        """Return the first thing that was equal to this one, or this one."""
        return self._kept.setdefault(thing, thing)  # type: ignore[return-value]
