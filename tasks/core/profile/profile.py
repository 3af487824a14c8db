"""A profile's templates, rendered and read: what is wanted, before any node has been asked.

The syntax is that of modules-load.d(5) and sysctl.d(5) with three marks: `key >= value`, `-key = value`, and for
modules `a | b` and `-a`. desired.py resolves the marks against a node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from tasks.core.errors import ProfileError
from tasks.core.profile.entries import KeyWish, Line, LineParser, ModuleWish, _key_line, _module_line, compatible, text
from tasks.core.profile.template import Source, _Given, _names, _numbered, _rendered
from tasks.core.sanitize import UNSAFE

LONGEST_LINE = 4096  # sysctl.conf(5)


class Profile(NamedTuple):
    """A folder of templates/: either file may be missing, not both."""

    name: str
    modules: Source | None
    sysctl: Source | None


class Wishes(NamedTuple):
    """A rendered profile, line by line: comments and blanks as text, the rest as wishes. None: no such file."""

    profile: str
    modules: tuple[Line, ...] | None
    sysctl: tuple[Line, ...] | None

    def module_wishes(self) -> list[ModuleWish]:
        """The wishes of the modules file, in its order."""
        return [line for line in self.modules or () if isinstance(line, ModuleWish)]

    def key_wishes(self) -> list[KeyWish]:
        """The wishes of the sysctl file, in its order."""
        return [line for line in self.sysctl or () if isinstance(line, KeyWish)]


def render(profile: Profile, variables: Mapping[str, object]) -> Wishes:
    """Both files of a profile for one set of variables. Raises ProfileError with file and line."""
    return Wishes(
        profile.name,
        _parsed(profile.modules, variables, _module_line),
        _parsed(profile.sysctl, variables, _key_line),
    )


def _parsed(source: Source | None, variables: Mapping[str, object], parse: LineParser) -> tuple[Line, ...] | None:
    if source is None:
        return None
    used = _names(source).used if source.template else frozenset()
    return _lines(source, parse, _Given({name: variables[name] for name in sorted(used) if name in variables}))


@lru_cache(maxsize=256)
def _lines(source: Source, parse: LineParser, given: _Given) -> tuple[Line, ...]:
    variables = given.variables
    lines: list[Line] = []
    for number, text in _numbered(_rendered(source, variables), source.text):
        if len(text.encode(errors="replace")) > LONGEST_LINE:
            raise ProfileError(source.path, number, f"a line may have {LONGEST_LINE} bytes, this has more")
        stripped = text.strip()
        if bad := UNSAFE.search(stripped):
            raise ProfileError(source.path, number, f"unexpected control character {bad.group()!r}")
        lines.append(stripped if not stripped or stripped[0] in "#;" else parse(source.path, number, stripped))
    _no_contradiction(source.path, lines)
    return tuple(lines)


@lru_cache(maxsize=64)  # each change of a node says it
def digest(profile: Profile) -> str:
    """A profile's files as 12 hexadecimal digits, to tell one state of it from another."""
    texts = [source.text if source else "" for source in (profile.modules, profile.sysctl)]
    return hashlib.sha256("\0".join(texts).encode(errors="replace")).hexdigest()[:12]


def _no_contradiction(path: str, lines: Sequence[Line]) -> None:
    seen: dict[str, KeyWish] = {}
    for wish in lines:
        if not isinstance(wish, KeyWish):
            continue
        first = seen.setdefault(wish.key, wish)
        if (first.value, first.floor) != (wish.value, wish.floor):
            raise ProfileError(path, wish.line, f"{wish.key} has another value in line {first.line}: keep one")


def check_together(wishes: Sequence[Wishes]) -> None:
    """Profiles chosen together must not want different values for one key. Raises ProfileError naming both."""
    seen: dict[str, tuple[str, KeyWish]] = {}
    for each in wishes:
        for wish in each.key_wishes():
            owner, first = seen.setdefault(wish.key, (each.profile, wish))
            if owner != each.profile and not compatible(first, wish):
                wanted = f"profile {owner} wants {text(first)} (line {first.line})"
                problem = f"{wanted}, profile {each.profile} wants {text(wish)}: choose one of them or make them agree"
                raise ProfileError(f"templates/{each.profile}", wish.line, problem)
