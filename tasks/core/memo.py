"""What is worked out of a node's text is kept for the next node; a node may send what it likes, so not all of it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import _lru_cache_wrapper
from typing import TypeVar

T = TypeVar("T")


def unless(large: bool, cached: _lru_cache_wrapper[T]) -> Callable[..., T]:
    """The cached function, or the same past its cache, so that nothing large is kept."""
    return cached.__wrapped__ if large else cached


LARGE_REPLY = 128 * 1024  # characters of a reply; nodes say some 20,000
