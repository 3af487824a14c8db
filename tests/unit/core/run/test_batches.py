"""--serial and --max-fail: the sizes of batches, and when a run ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import UsageError
from tasks.core.run.batches import Count, Rollout, parse_rollout


def sizes(serial: str, total: int) -> list[int]:
    return [len(batch) for batch in parse_rollout(serial, "").batches(range(total))]


@pytest.mark.parametrize(
    ("serial", "total", "expected"),
    [
        ("", 7, [7]),
        ("", 0, []),
        ("2", 5, [2, 2, 1]),
        ("1,10,25%", 100, [1, 10, 25, 25, 25, 14]),
        ("1, 2 ,3", 4, [1, 2, 1]),
        ("50%", 3, [1, 1, 1]),
        ("1%", 20, [1] * 20),
        ("100%", 3, [3]),
        ("999999999", 3, [3]),
    ],
)
def test_a_selection_is_cut_into_batches_of_which_the_last_size_repeats(
    serial: str, total: int, expected: list[int]
) -> None:
    assert sizes(serial, total) == expected


AMOUNTS = st.one_of(st.integers(1, 30).map(Count), st.integers(1, 100).map(lambda number: Count(number, True)))


@given(st.lists(AMOUNTS, max_size=4).map(tuple), st.lists(st.integers(), max_size=60))
def test_batches_are_the_selection_in_its_order(amounts: tuple[Count, ...], hosts: list[int]) -> None:
    batches = Rollout(amounts).batches(hosts)
    assert [host for batch in batches for host in batch] == hosts
    assert all(batches)


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "1,,2", ",", "many", "1.5", "5 %", "10%%", "٣", "1;2"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--serial: expected .* such as 1,10,25%, got"):
        parse_rollout(text, "")


@pytest.mark.parametrize("text", ["-1", "101%", "few", "1,2", "%"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-fail: expected a number or a percentage, got"):
        parse_rollout("", text)


@pytest.mark.parametrize(
    ("limit", "failed", "total", "ends"),
    [
        ("", 100, 100, False),
        ("0", 0, 9, False),
        ("0", 1, 9, True),
        ("2", 2, 9, False),
        ("2", 3, 9, True),
        ("10%", 20, 200, False),
        ("10%", 21, 200, True),
        ("10%", 1, 9, True),
        ("100%", 9, 9, False),
    ],
)
def test_a_run_ends_when_more_nodes_failed_than_may(limit: str, failed: int, total: int, ends: bool) -> None:
    why = parse_rollout("", limit).failure_limit_reached(failed, total)
    assert bool(why) is ends
    if ends:
        assert why == f"not started: {failed} of {total} nodes failed, --max-fail allows {limit}"


def test_a_batch_in_which_every_node_failed_is_the_last_unless_max_fail_says_how_many_may() -> None:
    canary = ["n1"]
    assert "no node of the batch before came through" in parse_rollout("1,50%", "").canary_failed(1, canary)
    assert parse_rollout("1,50%", "").canary_failed(0, canary) == ""
    assert parse_rollout("2", "").canary_failed(1, ["n1", "n2"]) == ""
    assert parse_rollout("1,50%", "3").canary_failed(1, canary) == ""
