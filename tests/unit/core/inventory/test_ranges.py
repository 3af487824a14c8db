"""Ranges of host names, and the port after a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.inventory.ranges import expand_range, split_port

RANGES = [
    ("n[1:3]", ["n1", "n2", "n3"]),
    ("n[:2]", ["n0", "n1", "n2"]),
    ("n[08:11]", ["n08", "n09", "n10", "n11"]),
    ("n[1:10:4]", ["n1", "n5", "n9"]),
    ("n[a:c]", ["na", "nb", "nc"]),
    ("n[a:e:2]", ["na", "nc", "ne"]),
    ("n[y:B]", ["ny", "nz", "nA", "nB"]),
    ("r[1:2]n[1:2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
    ("n[3:3]", ["n3"]),
    ("plain", ["plain"]),
]


@pytest.mark.parametrize(("pattern", "names"), RANGES)
def test_ranges_are_counted_out(pattern: str, names: list[str]) -> None:
    assert list(expand_range(pattern)) == names


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("n1:22", "n1", "22"),
        ("n[1:3]:22", "n[1:3]", "22"),
        ("[2001:db8::1]:22", "2001:db8::1", "22"),
        ("[2001:db8::[1:3]]:22", "2001:db8::[1:3]", "22"),
        ("2001:db8::1", "2001:db8::1", None),
        ("n1", "n1", None),
        ("n1:", "n1:", None),
        ("bad_:22", "bad_:22", None),
        ("10.0.0.1:2222", "10.0.0.1", "2222"),
    ],
)
def test_a_port_is_split_off_where_the_rest_can_be_a_host(text: str, name: str, port: str | None) -> None:
    assert split_port(text) == (name, port)


@given(st.integers(0, 500), st.integers(0, 40), st.integers(1, 9))
def test_a_numeric_range_has_the_numbers_that_python_counts(begin: int, length: int, step: int) -> None:
    names = list(expand_range(f"n[{begin}:{begin + length}:{step}]"))
    assert names == [f"n{number}" for number in range(begin, begin + length + 1, step)]
