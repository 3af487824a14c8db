"""Pickles from others: data comes through, nothing runs."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.fleet.unpickling import InertObject, code_free_pickles, replaced


class Command:
    """An object whose unpickling makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_function_that_a_pickle_names_is_not_called(protocol: int, tmp_path: Path) -> None:
    evil = pickle.dumps([1, Command(tmp_path / "made")], protocol)
    with code_free_pickles():
        for number, inert in (
            pickle.loads(evil),
            pickle.load(io.BytesIO(evil)),
            pickle.Unpickler(io.BytesIO(evil)).load(),
        ):
            assert number == 1
            assert isinstance(inert, InertObject)
    assert not (tmp_path / "made").exists()
    pickle.loads(evil)  # it would have worked
    assert (tmp_path / "made").exists()


def test_data_and_buffers_come_through() -> None:
    data = {"a": [1, 2.5, None, True, "x", b"y", (1, {2}, frozenset({3}))]}
    buffers: list[pickle.PickleBuffer] = []
    large = pickle.dumps(pickle.PickleBuffer(bytearray(b"large")), 5, buffer_callback=buffers.append)
    with code_free_pickles():
        assert pickle.loads(pickle.dumps(data)) == data
        assert bytes(pickle.loads(large, buffers=buffers)) == b"large"


def test_an_error_keeps_its_name_and_its_texts() -> None:
    with code_free_pickles():
        error = pickle.loads(pickle.dumps(FileNotFoundError(2, "gone")))
    assert (type(error).__name__, error.args) == ("FileNotFoundError", (2, "gone"))
    assert not isinstance(error, OSError)
    with pytest.raises(InertObject, match="gone"):
        raise error.with_traceback(InertObject())


def test_the_pickle_module_is_as_before_in_the_end() -> None:
    before = (pickle.load, pickle.loads, pickle.Unpickler)
    with pytest.raises(KeyError), code_free_pickles():
        assert pickle.loads is not before[1]
        raise KeyError
    assert (pickle.load, pickle.loads, pickle.Unpickler) == before


def test_attributes_are_replaced_for_the_length_of_a_block() -> None:
    class Owner:
        x = 1

    with replaced(Owner, x=2):
        assert Owner.x == 2
    assert Owner.x == 1
