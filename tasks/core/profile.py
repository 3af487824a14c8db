"""A profile's templates, rendered and read: what is wanted, before any node has been asked.

The syntax is that of modules-load.d(5) and sysctl.d(5) with three marks: `key >= value`, `-key = value`, and for
modules `a | b` and `-a`. desired.py resolves the marks against a node.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tasks.core.errors import ProfileError
from tasks.core.keys import MODULE, at_least, integer, is_key, is_port_list, key_name, key_path, ports, same_value
from tasks.core.text import UNSAFE

# Written here they would lock the node, break routing, or act instead of being a setting (features of the kernel's
# own: modules_disabled can only be undone by a reboot, the other two are write-only triggers).
REFUSED = {"kernel.modules_disabled", "net.ipv4.route.flush", "net.ipv6.route.flush", "vm.drop_caches"}
LONGEST_LINE = 4096  # sysctl.conf(5)


class Source(NamedTuple):
    """One file of a profile. path: as the admin knows it; template: False for a plain file, taken as it is."""

    path: str
    text: str
    template: bool = True


class Profile(NamedTuple):
    """A folder of templates/: either file may be missing, not both."""

    name: str
    modules: Source | None
    sysctl: Source | None


class ModuleWish(NamedTuple):
    """One line of modules-load.conf: the first of candidates that the kernel has; optional ones may be missing."""

    line: int
    candidates: tuple[str, ...]
    optional: bool


class KeyWish(NamedTuple):
    """One line of sysctl.conf. key: dotted; floor: `>=`; optional: only where the kernel has the key."""

    line: int
    key: str
    value: str
    floor: bool
    optional: bool


Line = str | ModuleWish | KeyWish
LineParser = Callable[[str, int, str], Line]


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


_MARK = "\0([0-9]{1,9})\0"


class _LineMarks(Extension):
    """Puts a mark with its number before each line of a template, so that what was rendered still knows its line."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """The tokens, with a mark after each line break of the template's text."""
        for token in stream:
            text = _marked(token.value, token.lineno) if token.type == "data" else token.value
            yield Token(token.lineno, token.type, text)


def _marked(text: str, first: int) -> str:
    lines = text.split("\n")
    return "\n".join([lines[0], *(f"\0{number}\0{line}" for number, line in enumerate(lines[1:], first + 1))])


# Not trim_blocks: it would join `a = {% if x %}1{% endif %}` with the line after it.
_JINJA = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    extensions=[_LineMarks],
)


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


_AS_TEXT = json.JSONEncoder(sort_keys=True, default=repr)


class _Given:
    """The variables that one template uses, comparable by what they hold: hosts that share them share the result."""

    def __init__(self, variables: Mapping[str, object]) -> None:
        self.variables = variables
        self._key = _AS_TEXT.encode(variables)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Given) and other._key == self._key


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


def _numbered(rendered: str, source: str) -> Iterator[tuple[int, str]]:
    """The lines of a rendered text with their numbers in the template, as _LineMarks left them in it.

    A line that is blank only because it held nothing but a `{% … %}` is none.
    """
    number, written = 0, ["", *source.split("\n"), ""]
    lines = rendered.split("\n")
    if not re.sub(_MARK, "", lines[-1]):  # what follows the last newline is no line
        lines.pop()
    for line in lines:
        marks = re.findall(_MARK, line)
        number = int(marks[-1]) if marks else number + 1
        text = re.sub(_MARK, "", line)
        if text.strip() or not written[min(number, len(written) - 1)].strip():
            yield number, text


def _rendered(source: Source, variables: Mapping[str, object]) -> str:
    if "\0" in source.text:
        raise ProfileError(source.path, 0, "expected text, got a file with a NUL byte")
    if not source.template:
        return source.text.replace("\r\n", "\n")
    try:
        return _compiled(source.text).render(variables)
    except jinja2.TemplateSyntaxError as error:
        raise ProfileError(source.path, error.lineno, f"template syntax: {error.message}") from error
    except jinja2.UndefinedError as error:
        raise ProfileError(source.path, _line_in_template(error), f"undefined: {error.message}") from error
    except Exception as error:  # a filter of the template's may raise anything; it is the template's fault
        raise ProfileError(source.path, _line_in_template(error), f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=64)
def _compiled(text: str) -> jinja2.Template:
    """Compiling takes ten times as long as rendering, and a fleet shares its templates."""
    return _JINJA.from_string(text)


def _line_in_template(error: BaseException) -> int:
    """Jinja rewrites tracebacks so that the template's own frames carry its line numbers, as file `<template>`."""
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def check_names(source: Source, known: Iterable[str]) -> None:
    """Every name a template uses must be known, in branches not taken too, unless it asks `is defined` or `default`.

    known: variables that exist. Raises ProfileError at the first line that uses another.
    """
    if not source.template:
        return
    found = set(known)
    for line, name in _names(source).required:
        if name not in found:
            problem = f"undefined: {name!r} is neither an inventory variable of the host nor a fact"
            raise ProfileError(source.path, line, problem)


class _Names(NamedTuple):
    """The variables that a template uses; required: (line, name) of those it does not ask `is defined` or `default`."""

    used: frozenset[str]
    required: tuple[tuple[int, str], ...]


@lru_cache(maxsize=64)
def _names(source: Source) -> _Names:
    try:
        tree = _JINJA.parse(source.text)
        used = meta.find_undeclared_variables(tree)  # also finds filters that do not exist
    except jinja2.TemplateSyntaxError as error:
        raise ProfileError(source.path, error.lineno, f"template syntax: {error.message}") from error
    required = used - set(_JINJA.globals) - _guarded(tree)
    uses = [(name.lineno, name.name) for name in tree.find_all(nodes.Name) if name.name in required]
    return _Names(frozenset(used), tuple(sorted(uses)))


def _guarded(tree: nodes.Template) -> set[str]:
    guards = [test for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")]
    filters = [use for use in tree.find_all(nodes.Filter) if use.name in ("default", "d")]
    return {guard.node.name for guard in [*guards, *filters] if isinstance(guard.node, nodes.Name)}


@lru_cache(maxsize=4096)  # hosts whose variables differ still share most lines
def _module_line(path: str, number: int, text: str) -> ModuleWish:
    optional = text.startswith("-")
    candidates = tuple(name.strip() for name in text.removeprefix("-").split("|"))
    bad = next((name for name in candidates if not MODULE.match(name)), None)
    if bad is not None:
        hint = f"; write {bad.split()[1]!r}" if bad.startswith(("modprobe ", "insmod ")) else ""
        problem = f"expected a bare module name (or `a | b`, or `-a`) and nothing else in the line, got {text!r}{hint}"
        raise ProfileError(path, number, problem)
    return ModuleWish(number, candidates, optional)


@lru_cache(maxsize=4096)
def _key_line(path: str, number: int, text: str) -> KeyWish:
    match = re.fullmatch(r"(-?)\s*([^\s=>]+)\s*(>=|=)\s*(.*)", text)
    if not match or not match[4]:
        raise ProfileError(path, number, f"expected `key = value` (or `key >= value`, `-key = value`), got {text!r}")
    optional, key, operator, value = match.groups()
    if not is_key(key):
        glob = ": globs work on some nodes only, name each key" if re.search(r"[*?\[]", key) else ""
        raise ProfileError(path, number, f"{key!r} is no sysctl key{glob}")
    name = key_name(key_path(key))
    if problem := _value_problem(name, value, operator == ">="):
        raise ProfileError(path, number, problem)
    return KeyWish(number, name, " ".join(value.split()), operator == ">=", bool(optional))


def _value_problem(key: str, value: str, floor: bool) -> str:
    """Why a value would not do on a node, or an empty text."""
    list_of_ports = is_port_list(key)
    problems = (
        (key in REFUSED, f"{key} is no setting that may be kept: it acts when it is written"),
        (re.search(r"(^|\s)[#;]", value), "a comment after a value becomes part of it: give it a line of its own"),
        (value[0] in "=>", "expected `key = value` or `key >= value`"),
        (value[0] in "\"'", "sysctl does not remove quotes: write the bare value"),
        (not value.isascii(), "a value is plain ASCII"),
        (list_of_ports and ports(value) is None, "expected ports such as 10250,30000-32767"),
        (
            floor and not list_of_ports and None in map(integer, value.split()),
            "`>=` compares integers, and here is none",
        ),
    )
    return next((f"{text} (got {value!r} for {key})" for wrong, text in problems if wrong), "")


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


def compatible(one: KeyWish, other: KeyWish) -> bool:
    """Whether one value can be what both want."""
    if one.floor and other.floor:
        return True
    if one.floor or other.floor:
        exact, floor = (other, one) if one.floor else (one, other)
        return at_least(exact.key, exact.value, floor.value)
    return same_value(one.key, one.value, other.value)


def text(wish: KeyWish) -> str:
    """A key's wish as it stands in a profile."""
    return f"{wish.key} {'>=' if wish.floor else '='} {wish.value}"
