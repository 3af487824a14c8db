"""The time limit of a host, and limits of parts of its work."""

from __future__ import annotations

import pytest

from tasks.ssh.deadline import Deadline


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless a test sets its only item."""
    now = [100.0]
    monkeypatch.setattr("tasks.ssh.deadline.time.monotonic", lambda: now[0])
    return now


def test_the_time_left_ends_at_a_hundredth_because_sockets_take_0_for_non_blocking(clock: list[float]) -> None:
    limit = Deadline(5)
    assert (limit.remaining(), limit.passed) == (5, False)
    clock[0] += 4.995
    assert (limit.remaining(), limit.passed) == (0.01, False)
    clock[0] += 0.005
    assert (limit.remaining(), limit.passed) == (0.01, True)


def test_a_part_of_the_work_has_its_own_limit_and_the_whole_keeps_its_own(clock: list[float]) -> None:
    limit = Deadline(5)
    with limit.within(2):
        assert limit.remaining() == 2
        clock[0] += 2
        assert limit.passed
    assert (limit.remaining(), limit.passed) == (3, False)


def test_no_part_outlives_the_whole_and_an_error_takes_its_limit_away(clock: list[float]) -> None:
    limit = Deadline(5)
    clock[0] += 1
    with pytest.raises(KeyError), limit.within(60):
        assert limit.remaining() == 4
        with limit.within(1):
            raise KeyError
    assert limit.remaining() == 4


def test_time_spent_waiting_for_another_host_is_given_back(clock: list[float]) -> None:
    limit = Deadline(5)
    clock[0] += 4
    limit.extend(3)
    assert limit.remaining() == 4


def test_time_given_back_within_a_part_of_the_work_is_given_back_to_the_whole(clock: list[float]) -> None:
    limit = Deadline(5)
    with limit.within(2):
        clock[0] += 2
        limit.extend(2)
        assert limit.remaining() == 2
    assert limit.remaining() == 5
