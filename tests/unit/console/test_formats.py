"""The table of output formats."""

from __future__ import annotations

import pytest

from tasks.cli.load import CHOICES
from tasks.cli.options import HELP
from tasks.console.formats import FORMATS, NextCommands
from tests.support.runs import RUN
from tests.support.screens import plain

BEGINNINGS = {"text": "NODES", "json": '{"version": "', "junit": "<?xml"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_writes_the_whole_run(name: str) -> None:
    screen, stream = plain()
    FORMATS[name].write(RUN, screen, NextCommands("fab again", lambda *_: ""))
    assert stream.getvalue().startswith(BEGINNINGS[name])
    assert ("fab again" in stream.getvalue()) is (name == "text")
    assert all(result.host in stream.getvalue() for result in RUN.results)


def test_every_format_can_be_chosen_and_is_in_the_help() -> None:
    assert CHOICES["format"] == tuple(FORMATS)
    assert all(name in HELP["format"] for name in FORMATS)
