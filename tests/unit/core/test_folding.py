"""Names folded for reading, and -H, which selects the same hosts again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.folding import fold
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.inventory import Inventory
from tasks.core.inventory.selection import select_hosts


def names(text: str, fleet: Inventory) -> list[str]:
    return [host.name for host in select_hosts(fleet, text, reachable_name=lambda _: False)]


@pytest.mark.parametrize(
    ("unfolded", "folded"),
    [
        (["lab-1", "lab-2", "lab-3", "db"], "db,lab-[1-3]"),
        (["lab-3", "lab-1", "lab-2", "lab-5"], "lab-[1-3,5]"),
        (["n08", "n09", "n10", "n11"], "n[08-11]"),
        (["n8", "n9", "n10"], "n[8-10]"),
        (["n8", "n08", "n10"], "n[08,10],n8"),
        (["n00", "n01"], "n[00-01]"),
        (["n1"], "n1"),
        (["n1", "n1"], "n1"),
        ([], ""),
        (["n2", "n10"], "n[2,10]"),
        (["node1.k8s.lan", "node2.k8s.lan"], "node[1-2].k8s.lan"),
        (["r1n1", "r1n2", "r2n1", "r2n2"], "r1n[1-2],r2n[1-2]"),
        (["10.0.0.1", "10.0.0.2", "10.0.1.1"], "10.0.0.[1-2],10.0.1.1"),
        (["127.0.0.1:2201", "127.0.0.1:2202"], "127.0.0.1:[2201-2202]"),
        (["[::1]:2201", "[::1]:2202"], "[::1]:2201,[::1]:2202"),
        (["b", "a"], "a,b"),
        (["12", "13"], "[12-13]"),
    ],
)
def test_names_are_folded_for_reading(unfolded: list[str], folded: str) -> None:
    assert fold(unfolded) == folded


NAMES = st.one_of(
    st.from_regex(r"[a-c]{0,2}[0-9]{1,3}", fullmatch=True),
    st.from_regex(r"[a-c][0-9]{0,2}[-.]?[a-b][0-9]{0,2}", fullmatch=True),
    st.sampled_from(["lab-1", "lab-2", "lab-10", "n08", "n8", "n10", "db", "10.0.0.1", "10.0.0.2"]),
)


@given(st.sets(NAMES, min_size=1, max_size=25))
def test_what_was_folded_selects_the_same_hosts_again(chosen: set[str]) -> None:
    fleet = parse_ini("".join(f"{name}\n" for name in sorted(chosen)), "hosts.ini")
    assert sorted(names(fold(chosen), fleet=fleet)) == sorted(chosen)


@given(st.sets(st.integers(0, 2000), min_size=1, max_size=40), st.integers(0, 4))
def test_numbers_of_any_padding_come_back_from_a_folded_text(numbers: set[int], width: int) -> None:
    chosen = sorted(f"node{number:0{width}d}.lan" for number in numbers)
    fleet = parse_ini("\n".join(chosen), "hosts.ini")
    assert sorted(names(fold(reversed(chosen)), fleet=fleet)) == chosen


@given(st.lists(st.builds("{}{}".format, NAMES, st.integers(1, 9).map(lambda digit: str(digit) * 4400)), max_size=3))
def test_names_with_numbers_of_any_length_are_folded(chosen: list[str]) -> None:
    assert set(fold(chosen).split(",")) >= set(chosen) - {""}


@given(st.lists(NAMES, max_size=20))
def test_folding_does_not_depend_on_order_or_repetition(chosen: list[str]) -> None:
    assert fold(chosen) == fold([*reversed(chosen), *chosen])
