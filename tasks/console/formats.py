"""The output formats of a run. A format is one file of this folder and one row of FORMATS; --format takes its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tasks.console.output import Screen
from tasks.core.result import RunSummary


class NextCommands(NamedTuple):
    """The commands to type next. retry: does again what was not done; empty if all was done, or if it is too long to
    read. with_verb: see next_command of show_summary()."""

    retry: str
    with_verb: Callable[[str, Iterable[str], str], str]


class Format(NamedTuple):
    """A way to print a run. for_listings: render, hosts and `rollback --list` can be printed in it, too."""

    write: Callable[[RunSummary, Screen, NextCommands], None]
    for_listings: bool = True


def _write_text(summary: RunSummary, screen: Screen, commands: NextCommands) -> None:
    from tasks.console.summary import show_summary  # noqa: PLC0415 # one run needs one format

    show_summary(summary, screen, retry=commands.retry, next_command=commands.with_verb)


def _write_json(summary: RunSummary, screen: Screen, _: NextCommands) -> None:
    from tasks.console.json_report import write_json  # noqa: PLC0415

    write_json(summary, screen)


def _write_junit(summary: RunSummary, screen: Screen, _: NextCommands) -> None:
    from tasks.console.junit import write_junit  # noqa: PLC0415

    write_junit(summary, screen)


FORMATS = {
    "text": Format(_write_text),
    "json": Format(_write_json),
    "junit": Format(_write_junit, for_listings=False),
}
