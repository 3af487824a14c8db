"""Match names against glob patterns in time and memory that do not depend on the pattern's wildcards.

fnmatch translates a pattern to a regular expression: that takes quadratic time for a pattern of brackets, and holds the
compiled pattern in a cache. A node controls these patterns.
"""

from __future__ import annotations

from typing import NamedTuple

from tasks.core.errors import RemoteError

MAX_PATTERNS = 1000  # of one node in one kind of file; whole distributions have fewer than a hundred


class _Class(NamedTuple):
    """One `[…]` of a pattern. ranges: (first, last) of its characters."""

    negated: bool
    ranges: tuple[tuple[str, str], ...]

    def fits(self, letter: str) -> bool:
        """Return whether a character is in the class."""
        return any(first <= letter <= last for first, last in self.ranges) is not self.negated


_ANY, _STAR = _Class(negated=True, ranges=()), None
_Token = _Class | str | None


class Glob:
    """A pattern of `*`, `?` and `[…]` that a whole name matches or not, with the case as it is (fnmatchcase)."""

    __slots__ = ("_least", "_text", "_tokens")

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._tokens = _parse_glob(pattern) if is_glob(pattern) else []
        self._least = len(self._tokens) - self._tokens.count(_STAR)

    def matches(self, name: str) -> bool:
        """Return whether a whole name matches."""
        if not self._tokens:
            return name == self._text
        if self._least > len(name):
            return False
        return _match_tokens(self._tokens, name)


def check_pattern_count(count: int, place: str) -> None:
    """Raise RemoteError if the files at a place have too many patterns."""
    if count > MAX_PATTERNS:
        step = f"look at the files below {place} on the node: the next boot is judged with at most {MAX_PATTERNS}"
        raise RemoteError(f"its files below {place} have {count} patterns", step)


def is_glob(text: str) -> bool:
    """Return whether a text has a wildcard."""
    return "*" in text or "?" in text or "[" in text


def _match_tokens(tokens: list[_Token], name: str) -> bool:
    """Match greedily: only the last star is ever extended, so the time is bounded by the product of both lengths."""
    place, number, star, tried = 0, 0, -1, 0
    while place < len(name):
        token = tokens[number] if number < len(tokens) else ""
        if token is _STAR:
            star, tried, number = number, place, number + 1
        elif token == name[place] or (isinstance(token, _Class) and token.fits(name[place])):
            place, number = place + 1, number + 1
        elif star >= 0:
            tried, number = tried + 1, star + 1
            place = tried
        else:
            return False
    return all(token is _STAR for token in tokens[number:])


def _parse_glob(pattern: str) -> list[_Token]:
    tokens: list[_Token] = []
    last, place = pattern.rfind("]"), 0
    while place < len(pattern):
        letter = pattern[place]
        place += 1
        end = _class_end(pattern, place, last) if letter == "[" else -1
        if end >= 0:
            tokens.append(_parse_class(pattern[place:end]))
            place = end + 1
        elif letter == "*":
            tokens += [_STAR] if tokens[-1:] != [_STAR] else []
        else:
            tokens.append(_ANY if letter == "?" else letter)
    return tokens


def _class_end(pattern: str, start: int, last: int) -> int:
    """Return the place of the bracket that closes a class, -1 if there is none. One that comes first is a character."""
    start += pattern.startswith("!", start)
    start += pattern.startswith("]", start)
    return pattern.index("]", start) if start <= last else -1


def _parse_class(text: str) -> _Class:
    negated = text.startswith("!")
    text = text.removeprefix("!")
    ranges, place = [], 0
    while place < len(text):
        is_range = place + 2 < len(text) and text[place + 1] == "-"
        ranges.append((text[place], text[place + 2 if is_range else place]))
        place += 3 if is_range else 1
    return _Class(negated, tuple(ranges))
