from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tasks.core import memo
from tasks.core.boot.simulation import NextBoot
from tasks.core.facts import Facts
from tasks.core.memo import BUDGET, cached_calls, clear_caches, computed_calls, memoized
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import diff
from tests.support import builders
from tests.support.boots import UNITS

pytestmark = pytest.mark.slow

SIZE = 16


@memoized(maxsize=SIZE)
def repeat(text: str, times: int) -> tuple[str, ...]:
    return tuple(f"{text}{number}" for number in range(times))


@memoized(maxsize=SIZE)
def count(things: object) -> int:
    return len(things)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    clear_caches()
    yield
    clear_caches()


def test_an_equal_call_is_answered_from_the_cache_and_one_call_forgets_all() -> None:
    assert repeat("a", 2) is repeat("a", 2)
    assert (cached_calls(repeat), computed_calls(repeat), count("xyz"), cached_calls(count)) == (1, 1, 3, 1)
    clear_caches()
    assert (cached_calls(repeat), computed_calls(repeat), cached_calls(count)) == (0, 0, 0)


@pytest.mark.parametrize(
    "large",
    [
        "x" * (BUDGET // SIZE),
        ("x" * 1024,) * (BUDGET // SIZE // 1024),
        tuple(range(BUDGET // SIZE // 64)),
        frozenset(range(BUDGET // SIZE // 64)),
        tuple(("k", ("x" * 10_000,)) for _ in range(BUDGET // SIZE // 10_000)),
    ],
    ids=["one text", "many texts", "numbers", "a set", "nested"],
)
def test_a_large_argument_is_worked_out_and_not_kept(large: object) -> None:
    assert count(large) == count(large) == len(large)  # type: ignore[arg-type]
    assert (cached_calls(count), computed_calls(count)) == (0, 2)


def test_a_large_result_of_a_small_argument_is_not_kept() -> None:
    assert repeat("x", 50_000) == tuple(f"x{number}" for number in range(50_000))
    assert cached_calls(repeat) == 0


def test_an_error_passes_and_is_not_kept() -> None:
    with pytest.raises(TypeError, match="has no len"):
        count(7)
    assert cached_calls(count) == 0


def test_a_cache_keeps_its_number_of_calls() -> None:
    for number in range(3 * SIZE):
        repeat(str(number), 1)
    assert cached_calls(repeat) == SIZE


def judge(lines: int) -> Facts:
    """Judge a node with so many lines of sysctl.d through the whole core."""
    text = "".join(f"vm.x{number} = 1\n" for number in range(lines))
    node = builders.facts(files={"/etc/sysctl.d/x.conf": text}, loadable=["overlay"], hidden=["/run/systemd/system"])
    node = replace(node, units=UNITS, values={**node.values, f"/proc/sys/vm/x{lines - 1}": "1"})
    wanted = resolve([builders.rendered(f"vm.x{lines - 1} = 1", "overlay")], node)
    seen = diff(wanted, node, NextBoot(node, node.files))
    assert seen.items[1].decided_by == f"/etc/sysctl.d/x.conf:{lines}"
    return node


def test_of_a_node_with_a_far_too_large_configuration_little_is_kept_for_the_next() -> None:
    judge(10)
    before = {name: cached.cache_info().currsize for name, cached in memo._CACHES.items()}
    judge(9000)
    after = {name: cached.cache_info().currsize for name, cached in memo._CACHES.items()}
    per_node = [name for name in after if "simulation" in name or "writers" in name]
    assert per_node
    assert {name: after[name] for name in per_node} == {name: before[name] for name in per_node}


def test_what_many_hostile_nodes_leave_behind_is_bounded() -> None:
    tracemalloc.start()
    try:
        for number in range(40):
            repeat(f"{number}" * 20_000, 2)  # 160 kB and more each with its result
            count(tuple(f"{number} {place}" for place in range(20_000)))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 2 * BUDGET
