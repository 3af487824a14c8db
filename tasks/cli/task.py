"""A verb as fab sees it: name, first sentence, flags. What it works with is imported when it is called, so that
`fab --list` and `fab --help` load none of it; the verbs' files do the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import partial, wraps
from typing import Any

from tasks.cli.debugging import hide_secrets
from tasks.cli.executor import FleetTask
from tasks.cli.options import HELP, Options, parse_options
from tasks.core.errors import UsageError

hide_secrets()  # here: fab reads the environment's password after it has imported us


def fleet_task(**own_help: str) -> Callable[[Callable[..., None]], FleetTask]:
    """Makes a verb of `body(run, ...)`: its own flags, then the shared ones; usage errors end with exit code 2."""
    return partial(_verb, own_help)


def _verb(own_help: dict[str, str], body: Callable[..., None]) -> FleetTask:
    @wraps(body)
    def call(context: Any, *args: Any, **given: Any) -> None:
        from tasks.cli import load

        shared = {field.name: given.pop(field.name) for field in fields(Options)}
        try:
            body(load.load(context, body.__name__, parse_options(shared)), *args, **given)
        except UsageError as error:
            raise load.usage_exit(body.__name__, error) from error

    own = inspect.signature(body).parameters.values()
    # Texts, numbers too: invoke ends with a traceback where a number is none.
    flags = [inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=str(f.default)) for f in fields(Options)]
    call.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
    return FleetTask(call, help={**own_help, **HELP}, auto_shortflags=False)
