from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.shells import SHELLS, Shell

CASES = "property cases"  # of a test's user properties: they come back from xdist's workers
# Always the same cases, so that a red run is red again. A busy machine is no bug of ours: nothing here is about time.
settings.register_profile(
    "nodeprep", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nodeprep")


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    return Shell.named(str(request.param), tmp_path)


# How many cases the property tests were tried with, and whether those were enough.


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--least-cases", type=int, default=0, help="fail with fewer property cases than this")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Counts what hypothesis tries a test with: its documented `inner_test` is called once a case."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is None:
        return (yield)
    inner, counted = handle.inner_test, _counted(handle.inner_test)
    handle.inner_test = counted
    try:
        return (yield)
    finally:
        handle.inner_test = inner
        item.user_properties.append((CASES, counted.cases))


def _counted(test: Callable[..., Any]) -> Any:
    @functools.wraps(test)
    def counting(*args: Any, **given: Any) -> Any:
        counting.cases += 1  # type: ignore[attr-defined]
        return test(*args, **given)

    counting.cases = 0  # type: ignore[attr-defined]
    return counting


def _cases(reporter: pytest.TerminalReporter) -> list[int]:
    reports = [report for reports in reporter.stats.values() for report in reports]
    ends = [report for report in reports if getattr(report, "when", "") == "call"]
    return [int(str(value)) for report in ends for name, value in report.user_properties if name == CASES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if cases := _cases(terminalreporter):
        terminalreporter.write_line(f"{len(cases)} property tests, {sum(cases)} cases")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    least = session.config.getoption("--least-cases", 0)
    if reporter and not hasattr(session.config, "workerinput") and sum(_cases(reporter)) < least:
        reporter.write_line(f"ERROR: fewer than {least} property cases were tried", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
