"""The decorator that makes a verb of fab: its record, first sentence, flags. The modules that a verb works with are
imported when it is called, so that `fab --list` and `fab --help` load none of them; the verbs' files do the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import partial, wraps
from typing import Any

from tasks.cli.debugging import hide_secrets
from tasks.cli.executor import FleetTask
from tasks.cli.options import HELP, Options, parse_options
from tasks.cli.prompts import replace_prompts
from tasks.core.errors import UsageError
from tasks.core.verb import Verb

hide_secrets()  # here: fab reads the environment's password, and asks for others, after it has imported us
replace_prompts()


def fleet_task(verb: Verb, **own_help: str) -> Callable[[Callable[..., None]], FleetTask]:
    """Make a task of `body(run, …)`: its own flags, then the shared ones; usage errors end with exit code 2."""
    return partial(_make_task, verb, own_help)


def _make_task(verb: Verb, own_help: dict[str, str], body: Callable[..., None]) -> FleetTask:
    @wraps(body)
    def call(context: Any, *args: Any, **given: Any) -> None:
        from tasks.cli import load

        shared = {field.name: given.pop(field.name) for field in fields(Options)}
        try:
            body(load.load(context, verb, parse_options(shared)), *args, **given)
        except UsageError as error:
            raise load.usage_exit(verb, error) from error

    own = inspect.signature(body).parameters.values()
    # Texts, numbers too: invoke ends with a traceback where the value of a number flag is not a number.
    flags = [inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=str(f.default)) for f in fields(Options)]
    call.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
    return FleetTask(call, verb, {**own_help, **HELP})
