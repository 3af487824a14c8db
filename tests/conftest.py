from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support import fault_table

# What a script starts in the background ignores Ctrl-C, and so would the runs that are interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, help="write the fault suite's table to this file")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = fault_table.kept(terminalreporter)
    if rows:
        fault_table.show(terminalreporter, rows)
        if path := terminalreporter.config.getoption("--fault-table"):
            fault_table.write(path, rows)
