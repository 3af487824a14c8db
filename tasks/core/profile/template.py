"""Templates of profiles: checked for unknown names, rendered in a sandbox, with their line numbers kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tasks.core.errors import ProfileError
from tasks.core.memo import memoized


class Source(NamedTuple):
    """A file of a profile. path: as messages show it; template: False for a plain file, which is not rendered."""

    path: str
    text: str
    template: bool = True


_MARK = "\0([0-9]{1,9})\0"


class _LineMarks(Extension):
    """An extension that marks each line of a template with its number, so that rendered lines keep it."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Yield the tokens, with a mark after each line break of the template's text."""
        for token in stream:
            text = _mark_lines(token.value, token.lineno) if token.type == "data" else token.value
            yield Token(token.lineno, token.type, text)


def _mark_lines(text: str, first: int) -> str:
    lines = text.split("\n")
    return "\n".join([lines[0], *(f"\0{number}\0{line}" for number, line in enumerate(lines[1:], first + 1))])


# Not trim_blocks: it would join `a = {% if x %}1{% endif %}` with the line after it.
_JINJA = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    extensions=[_LineMarks],
)

_ENCODER = json.JSONEncoder(sort_keys=True, default=repr)

MAX_RENDERED = 1024 * 1024  # characters of a rendered file
_MAX_BOUNDED = 64 * 1024  # characters of a template that can be bounded
_MAX_BOUNDED_NAMES = 200  # each may be a variable of half a megabyte
# With these alone, rendering takes no more time and memory than in proportion to the template and its variables. Not
# among them: loops, calls, products, `~` and `+`, which double a text each time, and most filters.
_BOUNDED_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem),
    *(nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Test),
    *(nodes.Assign, nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Neg, nodes.Pos, nodes.Filter),
)
_BOUNDED_FILTERS = frozenset(
    {"default", "d", "int", "float", "lower", "upper", "trim", "abs", "length", "first", "last"}
)


class TemplateInputs:
    """The variables that one template uses. Equal content compares equal, so hosts that share it share the result."""

    def __init__(self, variables: Mapping[str, object]) -> None:
        self.variables = variables
        try:
            self._key = _ENCODER.encode(variables)
        except (TypeError, ValueError):  # keys that JSON cannot sort or does not have
            self._key = repr(variables)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TemplateInputs) and other._key == self._key


def numbered_lines(rendered: str, source: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a rendered text and their numbers in the template; remove the marks of _LineMarks.

    Leave out a line that is blank only because it held nothing but a `{% … %}`.
    """
    number, written = 0, ["", *source.split("\n"), ""]
    lines = rendered.split("\n")
    if not re.sub(_MARK, "", lines[-1]):  # a final newline does not begin another line
        lines.pop()
    for line in lines:
        marks = re.findall(_MARK, line)
        number = int(marks[-1]) if marks else number + 1
        text = re.sub(_MARK, "", line)
        if text.strip() or not written[min(number, len(written) - 1)].strip():
            yield number, text


@memoized(maxsize=64)
def is_bounded(source: Source) -> bool:
    """Return True for a file that renders in time and memory in proportion to its text, by its constructs alone."""
    if not source.template:
        return True
    if len(source.text) > _MAX_BOUNDED:
        return False
    try:
        tree = _JINJA.parse(source.text)
    except (jinja2.TemplateSyntaxError, RecursionError):
        return True  # it is not rendered
    found = list(_all_nodes(tree))
    filters = {node.name for node in found if isinstance(node, nodes.Filter)}
    names = [node for node in found if isinstance(node, nodes.Name)]
    bounded = all(isinstance(node, _BOUNDED_NODES) for node in found)
    return bounded and filters <= _BOUNDED_FILTERS and len(names) <= _MAX_BOUNDED_NAMES


def _all_nodes(tree: nodes.Node) -> Iterator[nodes.Node]:
    left = [tree]
    while left:
        node = left.pop()
        yield node
        left.extend(node.iter_child_nodes())


def render_source(source: Source, variables: Mapping[str, object]) -> str:
    """Render a file of a profile. Raise ProfileError with path and line, or for more than MAX_RENDERED characters."""
    if "\0" in source.text:
        raise ProfileError(source.path, 0, "expected text, got a file with a NUL byte")
    if not source.template:
        return source.text.replace("\r\n", "\n")
    text = _render_template(source, variables)
    if len(text) > MAX_RENDERED:
        raise ProfileError(source.path, 0, f"expected at most {MAX_RENDERED} rendered characters, got {len(text)}")
    return text


def _render_template(source: Source, variables: Mapping[str, object]) -> str:
    try:
        return _compile(source.text).render(variables)
    except jinja2.TemplateSyntaxError as error:
        raise ProfileError(source.path, error.lineno, f"template syntax: {error.message}") from error
    except jinja2.UndefinedError as error:
        raise ProfileError(source.path, _line_in_template(error), f"undefined: {error.message}") from error
    except Exception as error:  # a filter may raise anything
        raise ProfileError(source.path, _line_in_template(error), f"{type(error).__name__}: {error}") from error


@memoized(maxsize=64)
def _compile(text: str) -> jinja2.Template:
    """Compile a template, once for a fleet: compiling takes ten times as long as rendering."""
    return _JINJA.from_string(text)


def _line_in_template(error: BaseException) -> int:
    """Return the template's line of an error, or 0. Jinja names the template's frames `<template>` in tracebacks."""
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def check_names(source: Source, known: Iterable[str]) -> None:
    """Raise ProfileError at the first line that uses a name that is not known, even in a branch not taken.

    Names guarded by `is defined` or `default` may be unknown. known: variables that exist.
    """
    if not source.template:
        return
    found = set(known)
    for line, name in template_names(source).required:
        if name not in found:
            problem = f"undefined: {name!r} is neither an inventory variable of the host nor a fact"
            raise ProfileError(source.path, line, problem)


class _Names(NamedTuple):
    """The variables that a template uses. required: (line, name) of those without `is defined` or `default`."""

    used: frozenset[str]
    required: tuple[tuple[int, str], ...]


@memoized(maxsize=64)
def template_names(source: Source) -> _Names:
    """Return the names that a template uses. Raise ProfileError for a syntax error."""
    try:
        tree = _JINJA.parse(source.text)
        used = meta.find_undeclared_variables(tree)  # also finds filters that do not exist
    except jinja2.TemplateSyntaxError as error:
        raise ProfileError(source.path, error.lineno, f"template syntax: {error.message}") from error
    except RecursionError:
        raise ProfileError(source.path, 0, "template syntax: expected fewer levels in each other") from None
    required = used - set(_JINJA.globals) - _guarded(tree)
    uses = [(name.lineno, name.name) for name in tree.find_all(nodes.Name) if name.name in required]
    return _Names(frozenset(used), tuple(sorted(uses)))


def _guarded(tree: nodes.Template) -> set[str]:
    guards = [test for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")]
    filters = [use for use in tree.find_all(nodes.Filter) if use.name in ("default", "d")]
    return {guard.node.name for guard in [*guards, *filters] if isinstance(guard.node, nodes.Name)}
