"""Work in a child process: what it costs is bounded, and what it does is not kept."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tasks.local.budget import Report, first_over_budget

pytestmark = pytest.mark.slow


def over(work: Callable[[Report], object], seconds: float = 60, mebibytes: int = 64) -> str | None:
    def reporting(report: Report) -> None:
        report("first")
        report("templates/\u00e4")
        work(report)

    return first_over_budget(reporting, seconds=seconds, mebibytes=mebibytes)


def fail(_: Report) -> None:
    raise ValueError("of its own")


def hold(_: Report) -> None:
    _held = "x" * 2**30


def hold_within(_: Report) -> None:
    try:
        _held = "x" * 2**30
    except MemoryError as error:
        raise ValueError("of the work") from error


@pytest.mark.parametrize("work", [lambda _: None, fail, lambda report: report("last")])
def test_work_that_ends_is_within_the_budget_also_with_an_error_of_its_own(work: Callable[[Report], object]) -> None:
    assert over(work) is None


@pytest.mark.parametrize(
    "work", [hold, hold_within, lambda _: os._exit(1), lambda _: os.kill(os.getpid(), signal.SIGKILL)]
)
def test_work_that_takes_too_much_or_dies_is_named_by_its_last_report(work: Callable[[Report], object]) -> None:
    assert over(work) == "templates/\u00e4"


def test_work_that_does_not_end_is_named_and_ended() -> None:
    def never_end(report: Report) -> None:
        report(str(os.getpid()))
        while True:
            pass

    child = over(never_end, seconds=0.2)
    assert child is not None
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)


def test_the_time_counts_from_one_report_to_the_next() -> None:
    def slow(report: Report) -> None:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            report("on it")

    assert over(slow, seconds=2) is None


def test_what_the_work_changes_is_not_kept() -> None:
    kept: list[int] = []
    assert over(lambda _: kept.append(1)) is None
    assert kept == []
