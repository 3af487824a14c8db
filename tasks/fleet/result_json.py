"""A node's result as JSON text, and back: the form in which dask workers return it.

A worker is not trusted more than a node: the text is checked against the types of NodeResult, field by field, and its
strings are sanitized before anything is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tasks.core.result import NodeResult
from tasks.core.sanitize import sanitize, sanitize_lines

MAX_LENGTH = 8 * 1024 * 1024  # characters; an ordinary result has some 20,000


def encode_result(result: NodeResult) -> str:
    """Return a result as JSON; records are lists of their fields' values."""
    return json.dumps(_encode(result), separators=(",", ":"))


def decode_result(text: object, host: str) -> NodeResult:
    """Return the result of this host that a JSON text holds. Raises ValueError if it is anything else."""
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise ValueError(f"expected JSON text of up to {MAX_LENGTH} characters, got {_name_type(text)}")
    try:
        result: NodeResult = _decode(NodeResult, json.loads(text, parse_constant=_refuse_constant))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return replace(
        result,
        host=host,
        problem=sanitize(result.problem),
        next_step=sanitize(result.next_step),
        notes=tuple(map(sanitize, result.notes)),
        same_as="",
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _name_type(value: object) -> str:
    return f"text of {len(value)} characters" if isinstance(value, str) else type(value).__name__[:80]


def _encode(value: Any) -> Any:
    if is_dataclass(value):
        return [_encode(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, str) or value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return [[_encode(key), _encode(each)] for key, each in value.items()]
    return [_encode(each) for each in value]


@cache
def _field_types(record: Any) -> tuple[Any, ...] | None:
    """Return the types of a record's fields in order; None for what is not a dataclass or a named tuple."""
    if is_dataclass(record):
        hints = get_type_hints(record)
        return tuple(hints[field.name] for field in fields(record))
    if hasattr(record, "_fields"):
        hints = get_type_hints(record)
        return tuple(hints[name] for name in record._fields)
    return None


def _decode(kind: Any, value: Any) -> Any:
    """Return a value of a type. Raises ValueError if it does not have that type."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _decode_optional(get_args(kind), value)
    if origin is not None:
        return _decode_collection(origin, get_args(kind), value)
    if (types := _field_types(kind)) is not None:
        return kind(*_decode_each(types, value))
    if issubclass(kind, StrEnum):
        return kind(_decode(str, value))
    if kind is float and type(value) is int:
        value = float(value)
    if kind not in (str, bool, int, float) or type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {_name_type(value)}")
    return sanitize_lines(value) if kind is str else value


def _decode_optional(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and NoneType in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return _decode(kind, value)


def _decode_collection(origin: Any, kinds: tuple[Any, ...], value: Any) -> Any:
    if issubclass(origin, Mapping):
        return dict(_decode_each(kinds, pair) for pair in _as_list(value))
    if origin is tuple and kinds[-1] is not Ellipsis:
        return tuple(_decode_each(kinds, value))
    found = (_decode(kinds[0], each) for each in _as_list(value))
    return frozenset(found) if issubclass(origin, frozenset | set) else tuple(found)


def _decode_each(kinds: Sequence[Any], value: Any) -> list[Any]:
    values = _as_list(value)
    if len(values) != len(kinds):
        raise ValueError(f"expected {len(kinds)} values, got {len(values)}")
    return [_decode(kind, each) for kind, each in zip(kinds, values, strict=True)]


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {_name_type(value)}")
    return value
