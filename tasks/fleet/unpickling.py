"""Pickles without code: nothing that a dask scheduler or worker sends may run anything in this process.

A pickle can name any function and call it. dask's client unpickles results, errors, events and the answers to its own
questions, in some twenty places, and has no setting against it. All of them end in the pickle module.
"""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

DATA_TYPES = {
    kind.__name__: kind
    for kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, memoryview, set, str, tuple)
}


class InertObject(Exception):  # noqa: N818 # it stands for any object, an error among them
    """An object of a class that is not loaded: it keeps the arguments, and does nothing."""

    def __init__(self, *args: object, **_: object) -> None:
        super().__init__(*args)

    def __setstate__(self, _: object) -> None:
        """Ignore the state."""

    def with_traceback(self, _: object) -> InertObject:
        """Ignore a traceback, which is inert as well."""
        return self


class CodeFreeUnpickler(pickle.Unpickler):
    """An unpickler for which every class and function but DATA_TYPES is an InertObject of that name."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return a class without behaviour, or a builtin one for data."""
        if module_name == "builtins" and global_name in DATA_TYPES:
            return DATA_TYPES[global_name]
        if module_name == "tblib.pickling_support":  # dask takes a traceback or None here, and fails at anything else
            return lambda *_: None
        return type(global_name.rpartition(".")[2], (InertObject,), {"__module__": module_name})


def load_code_free(file: Any, *, buffers: Iterable[Any] | None = None, **_: Any) -> Any:
    """Do as pickle.load(), without code."""
    return CodeFreeUnpickler(file, buffers=buffers).load()


def loads_code_free(data: Any, /, *, buffers: Iterable[Any] | None = None, **_: Any) -> Any:
    """Do as pickle.loads(), without code."""
    return load_code_free(io.BytesIO(data), buffers=buffers)


@contextlib.contextmanager
def code_free_pickles() -> Iterator[None]:
    """Let the whole process unpickle without code.

    Patched is the pickle module itself: a copy in each of dask's modules would have to be kept up with its versions.
    """
    with replaced(pickle, load=load_code_free, loads=loads_code_free, Unpickler=CodeFreeUnpickler):
        yield


@contextlib.contextmanager
def replaced(owner: Any, **values: object) -> Iterator[None]:
    """Give attributes of a module or a class other values for the length of the block."""
    original = {name: getattr(owner, name) for name in values}
    try:
        for name, value in values.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in original.items():
            setattr(owner, name, value)
