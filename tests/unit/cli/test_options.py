"""The flags of every verb."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from tasks.cli.options import HELP, Options, check_choices, parse_options
from tasks.core.errors import UsageError

GIVEN = {name: str(value) for name, value in asdict(Options()).items()}


def test_what_was_not_typed_is_the_default() -> None:
    assert parse_options(GIVEN) == Options()


@pytest.mark.parametrize("text", ["0", "-1", "many", "", "1.5", "٣", "9" * 10])
@pytest.mark.parametrize("name", ["forks", "timeout"])
def test_a_number_that_is_not_above_0_is_a_mistake(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"^--{name}: expected a whole number above 0, got "):
        parse_options(GIVEN | {name: text})


def test_a_choice_is_one_of_its_row() -> None:
    check_choices(Options(only="modules"), {"only": ("", "modules")})
    with pytest.raises(UsageError, match=r"^--host-keys: expected one of off, strict, got 'maybe'$"):
        check_choices(Options(host_keys="maybe"), {"host_keys": ("", "off", "strict")})


def test_every_flag_has_its_help() -> None:
    assert {name.replace("-", "_") for name in HELP} == set(GIVEN)
