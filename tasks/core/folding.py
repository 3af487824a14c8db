"""Fold the names of many hosts into one short selection."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

_DIGITS = re.compile(r"[0-9]+")


def fold(names: Iterable[str]) -> str:
    """Return names as a short selection that -H accepts: lab-1, lab-2, lab-3 and db become `db,lab-[1-3]`.

    Sorted, each name once, numbers in their natural order, zero padding kept (`n[08-11]`).
    """
    unique = sorted(set(names), key=_natural)
    families: dict[_Family, list[str]] = {}
    for name, family in _families(unique).items():
        families.setdefault(family, []).append(name)
    return ",".join(_fold_family(family, members) for family, members in families.items())


class _Family(NamedTuple):
    """Names that differ in one number. width: of padded numbers, else 0; -1 for a name that is not folded."""

    before: str
    after: str
    width: int


def _natural(name: str) -> str:
    """Return a sort key that puts n2 before n10: texts and numbers in turn, numbers first.

    A number may be longer than int() accepts. The key is one text: with lists of parts, the keys were the largest
    objects of a summary of 5,000 nodes.
    """
    return "".join(map(_natural_part, re.findall(r"[0-9]+|[^0-9]+", name)))


def _natural_part(part: str) -> str:
    bare = part.lstrip("0")
    return f"\0{chr(len(bare))}{bare} {part}" if _DIGITS.fullmatch(part) else f"\1{part}"


def _candidates(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield every (before, number, after) of a name; a name with brackets or commas has none."""
    if not re.search(r"[\[\],]", name):
        for match in _DIGITS.finditer(name):
            if len(match[0]) <= 12:
                yield name[: match.start()], match[0], name[match.end() :]


def _families(names: Sequence[str]) -> Mapping[str, _Family]:
    """Return the family of each name: that of the number with the most names, of equals that of the last number."""
    padded = {
        (before, after, len(number))
        for name in names
        for before, number, after in _candidates(name)
        if number != "0" and number[0] == "0"
    }
    chosen: dict[str, tuple[int, _Family]] = {}
    left, place = names, 0
    while left:  # the last number of each, then the one before: all at once take three times the memory
        families = {name: family for name in left if (family := _family(name, place, padded))}
        sized = {family: (size, family) for family, size in Counter(families.values()).items() if size > 1}
        for name, family in families.items():
            if family in sized and (name not in chosen or sized[family][0] > chosen[name][0]):
                chosen[name] = sized[family]
        left, place = list(families), place + 1
    return {name: chosen[name][1] if name in chosen else _Family(name, "", -1) for name in names}


def _family(name: str, place: int, padded: Collection[tuple[str, str, int]]) -> _Family | None:
    """Return a name's family by its number at a place, counted from the end; None if it has no such number."""
    splits = list(_candidates(name))
    if place >= len(splits):
        return None
    before, number, after = splits[-1 - place]
    return _Family(before, after, len(number) if (before, after, len(number)) in padded else 0)


def _fold_family(family: _Family, members: Sequence[str]) -> str:
    before, after, width = family
    if len(members) == 1:
        return members[0]
    numbers = [int(name[len(before) : len(name) - len(after)]) for name in members]
    spans = []
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        texts = [str(number).zfill(max(width, 0)) for _, number in run]
        spans.append(texts[0] if len(texts) == 1 else f"{texts[0]}-{texts[-1]}")
    return f"{before}[{','.join(spans)}]{after}"
