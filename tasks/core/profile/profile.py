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
from tasks.core.profile.entries import (
    Line,
    LineParser,
    ModuleEntry,
    SysctlEntry,
    are_compatible,
    format_entry,
    parse_module_line,
    parse_sysctl_line,
)
from tasks.core.profile.template import Source, TemplateInputs, numbered_lines, render_source, template_names
from tasks.core.sanitize import UNSAFE_CHARACTERS

MAX_LINE_BYTES = 4096  # sysctl.conf(5)


class Profile(NamedTuple):
    """A folder of templates/: either file may be missing, not both."""

    name: str
    modules: Source | None
    sysctl: Source | None


class RenderedProfile(NamedTuple):
    """A rendered profile, line by line: comments and blanks as text, the rest as wishes. None: no such file."""

    profile: str
    modules: tuple[Line, ...] | None
    sysctl: tuple[Line, ...] | None

    def module_entries(self) -> list[ModuleEntry]:
        """The wishes of the modules file, in its order."""
        return [line for line in self.modules or () if isinstance(line, ModuleEntry)]

    def sysctl_entries(self) -> list[SysctlEntry]:
        """The wishes of the sysctl file, in its order."""
        return [line for line in self.sysctl or () if isinstance(line, SysctlEntry)]


def render(profile: Profile, variables: Mapping[str, object]) -> RenderedProfile:
    """Both files of a profile for one set of variables. Raises ProfileError with file and line."""
    return RenderedProfile(
        profile.name,
        _parsed(profile.modules, variables, parse_module_line),
        _parsed(profile.sysctl, variables, parse_sysctl_line),
    )


def _parsed(source: Source | None, variables: Mapping[str, object], parse: LineParser) -> tuple[Line, ...] | None:
    if source is None:
        return None
    used = template_names(source).used if source.template else frozenset()
    return _lines(source, parse, TemplateInputs({name: variables[name] for name in sorted(used) if name in variables}))


@lru_cache(maxsize=256)
def _lines(source: Source, parse: LineParser, given: TemplateInputs) -> tuple[Line, ...]:
    variables = given.variables
    lines: list[Line] = []
    for number, text in numbered_lines(render_source(source, variables), source.text):
        if len(text.encode(errors="replace")) > MAX_LINE_BYTES:
            raise ProfileError(source.path, number, f"a line may have {MAX_LINE_BYTES} bytes, this has more")
        stripped = text.strip()
        if bad := UNSAFE_CHARACTERS.search(stripped):
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
    seen: dict[str, SysctlEntry] = {}
    for entry in lines:
        if not isinstance(entry, SysctlEntry):
            continue
        first = seen.setdefault(entry.key, entry)
        if (first.value, first.minimum) != (entry.value, entry.minimum):
            raise ProfileError(path, entry.line, f"{entry.key} has another value in line {first.line}: keep one")


def check_together(rendered: Sequence[RenderedProfile]) -> None:
    """Profiles chosen together must not want different values for one key. Raises ProfileError naming both."""
    seen: dict[str, tuple[str, SysctlEntry]] = {}
    for each in rendered:
        for entry in each.sysctl_entries():
            owner, first = seen.setdefault(entry.key, (each.profile, entry))
            if owner != each.profile and not are_compatible(first, entry):
                wanted = f"profile {owner} wants {format_entry(first)} (line {first.line})"
                other = f"profile {each.profile} wants {format_entry(entry)}"
                problem = f"{wanted}, {other}: choose one of them or make them agree"
                raise ProfileError(f"templates/{each.profile}", entry.line, problem)
