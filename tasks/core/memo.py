"""Reuse results across nodes, but never keep large ones: a node controls the size of its reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

# Bytes that one cache may hold, in the rough measure of `_is_larger`; a usual node's boot files measure 60 kB.
BUDGET = 16 * 1024 * 1024
_OBJECT_SIZE = 64  # bytes of a small object, and of its place in a container
_CACHES: dict[str, Any] = {}  # functools' caches by module and name: their type is private there


class _TooLargeError(Exception):
    """A result that is returned past the cache: functools keeps nothing of a call that raises."""

    def __init__(self, result: object) -> None:
        self.result = result


def memoized(maxsize: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a pure function so that its last results are kept.

    A call whose arguments and result measure more than BUDGET / maxsize is worked out, and not kept. Only a call that
    is not answered from the cache is measured. Arguments are given by position: keywords doubled the cost of a hit.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        compute_anew = cast(Callable[..., T], function)

        @wraps(function)
        def compute(*args: Any) -> T:
            result = compute_anew(*args)
            if _is_larger((args, result), BUDGET // maxsize):
                raise _TooLargeError(result)
            return result

        cached = lru_cache(maxsize)(compute)
        _CACHES[_name_of(function)] = cached

        @wraps(function)
        def call(*args: Any) -> T:
            try:
                return cached(*args)
            except _TooLargeError as passed:
                return cast(T, passed.result)

        return cast(Callable[P, T], call)

    return decorate


def clear_caches() -> None:
    """Forget every result that any memoized function has kept."""
    for cached in _CACHES.values():
        cached.cache_clear()


def cached_calls(function: Callable[..., object]) -> int:
    """Return the number of calls that a memoized function has kept."""
    return int(_CACHES[_name_of(function)].cache_info().currsize)


def computed_calls(function: Callable[..., object]) -> int:
    """Return how often a memoized function has been worked out since its cache was cleared."""
    return int(_CACHES[_name_of(function)].cache_info().misses)


def _name_of(function: Callable[..., object]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _is_larger(thing: object, limit: int) -> bool:
    """Return whether a thing measures more than a limit in bytes: its texts, and an object's size for each part.

    The measuring ends at the limit. Objects that are not built of texts and containers count as small.
    """
    size, left = 0, [thing]
    while left and size <= limit:
        part = left.pop()
        size += _OBJECT_SIZE
        if isinstance(part, str):
            size += len(part)
        elif isinstance(part, Mapping):
            size += _OBJECT_SIZE * len(part)
            left += [*part.keys(), *part.values()] if size <= limit else []
        elif isinstance(part, tuple | list | frozenset):
            size += _OBJECT_SIZE * len(part)
            left += part if size <= limit else ()
    return size > limit
