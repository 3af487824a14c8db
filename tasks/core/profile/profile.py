"""A profile: two templates, rendered and parsed for a host.

The syntax is that of modules-load.d(5) and sysctl.d(5) with three marks: `key >= value`, `-key = value`, and for
modules `a | b` and `-a`. desired.py resolves the marks for a node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tasks.core.errors import ProfileError
from tasks.core.memo import memoized
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
    """A folder of templates/. None: no such file; one of the two is there."""

    name: str
    modules: Source | None
    sysctl: Source | None


class RenderedProfile(NamedTuple):
    """A rendered profile, line by line: comments and blank lines as text, the others as entries. None: no such file."""

    profile: str
    modules: tuple[Line, ...] | None
    sysctl: tuple[Line, ...] | None

    def module_entries(self) -> list[ModuleEntry]:
        """Return the entries of the modules file, in its order."""
        return [line for line in self.modules or () if isinstance(line, ModuleEntry)]

    def sysctl_entries(self) -> list[SysctlEntry]:
        """Return the entries of the sysctl file, in its order."""
        return [line for line in self.sysctl or () if isinstance(line, SysctlEntry)]


def render(profile: Profile, variables: Mapping[str, object]) -> RenderedProfile:
    """Render and parse both files of a profile. Raise ProfileError with file and line."""
    return RenderedProfile(
        profile.name,
        _parse_file(profile.modules, variables, parse_module_line),
        _parse_file(profile.sysctl, variables, parse_sysctl_line),
    )


def _parse_file(source: Source | None, variables: Mapping[str, object], parse: LineParser) -> tuple[Line, ...] | None:
    if source is None:
        return None
    used = template_names(source).used if source.template else frozenset()
    inputs = TemplateInputs({name: variables[name] for name in sorted(used) if name in variables})
    return _parse_lines(source, parse, inputs)


@memoized(maxsize=256)
def _parse_lines(source: Source, parse: LineParser, inputs: TemplateInputs) -> tuple[Line, ...]:
    lines: list[Line] = []
    for number, text in numbered_lines(render_source(source, inputs.variables), source.text):
        if len(text.encode(errors="replace")) > MAX_LINE_BYTES:
            raise ProfileError(source.path, number, f"a line has at most {MAX_LINE_BYTES} bytes, this one has more")
        stripped = text.strip()
        if bad := UNSAFE_CHARACTERS.search(stripped):
            raise ProfileError(source.path, number, f"unexpected control character {bad.group()!r}")
        lines.append(stripped if not stripped or stripped[0] in "#;" else parse(source.path, number, stripped))
    _refuse_two_values(source.path, lines)
    return tuple(lines)


def digest(profile: Profile) -> str:
    """Return 12 hexadecimal digits that differ between two states of a profile's files."""
    texts = [source.text if source else "" for source in (profile.modules, profile.sysctl)]
    return hashlib.sha256("\0".join(texts).encode(errors="replace")).hexdigest()[:12]


def _refuse_two_values(path: str, lines: Sequence[Line]) -> None:
    seen: dict[str, SysctlEntry] = {}
    for entry in lines:
        if not isinstance(entry, SysctlEntry):
            continue
        first = seen.setdefault(entry.key, entry)
        if (first.value, first.minimum) != (entry.value, entry.minimum):
            raise ProfileError(path, entry.line, f"{entry.key} has another value in line {first.line}: keep one")


def check_together(rendered: Sequence[RenderedProfile]) -> None:
    """Raise ProfileError, naming both, if two profiles chosen together set different values for one key."""
    seen: dict[str, tuple[str, SysctlEntry]] = {}
    for each in rendered:
        for entry in each.sysctl_entries():
            owner, first = seen.setdefault(entry.key, (each.profile, entry))
            if owner != each.profile and not are_compatible(first, entry):
                wanted = f"profile {owner} wants {format_entry(first)} (line {first.line})"
                other = f"profile {each.profile} wants {format_entry(entry)}"
                problem = f"{wanted}, {other}: choose one of them or make them agree"
                raise ProfileError(f"templates/{each.profile}", entry.line, problem)
