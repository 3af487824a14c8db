"""A verb as fab sees it: name, first sentence, flags. What it works with is imported when it is called, so that
`fab --list` and `fab --help` load none of it; the verbs' files do the same."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial, wraps
from typing import Any

from tasks.console.debugging import hide_secrets
from tasks.core.errors import UsageError
from tasks.remote.executor import FleetTask

hide_secrets()  # here: fab reads the environment's password after it has imported us


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of every verb."""

    profile: str = ""
    forks: int = 20
    timeout: int = 60
    only: str = ""
    format: str = "text"
    inventory: str = ""
    host_keys: str = ""
    serial: str = ""
    max_fail: str = ""
    report: str = ""
    retry: str = ""
    engine: str = "threads"


NUMBERS = ("forks", "timeout")
HELP = {
    "profile": "Folders of templates/ to use, comma separated. Default: the inventory's `profiles`, else kubernetes.",
    "forks": "How many nodes at a time.",
    "timeout": "Seconds that one node may take in all.",
    "only": "modules or sysctl: leave the other half alone, and kubeadm's checks out.",
    "format": "text, json or junit (on stdout; progress goes to stderr).",
    "inventory": "Another inventory than hosts.ini.",
    "host-keys": "strict (default), accept-new, or off. Also read from the inventory and ssh_config.",
    "serial": "Sizes of batches, such as 1,10,25%: the next one starts when one is done. The last size repeats.",
    "max-fail": "How many nodes may fail, 3 or 10%, before no further one starts.",
    "report": "File that gets the run as JSON, whatever happens.",
    "retry": "Only the nodes that failed, were unreachable or not reached in this file of --report.",
    "engine": "threads (of this process), or dask=tcp://HOST:PORT: the workers of a dask scheduler (docs/dask.md).",
}
FORCE_UNLOCK = "Change a node even if it says that someone else is changing it."


def fleet_task(**own_help: str) -> Callable[[Callable[..., None]], FleetTask]:
    """Makes a verb of `body(run, ...)`: its own flags, then the shared ones; usage errors end with exit code 2."""
    return partial(_verb, own_help)


def _verb(own_help: dict[str, str], body: Callable[..., None]) -> FleetTask:
    @wraps(body)
    def call(context: Any, *args: Any, **given: Any) -> None:
        from tasks import command

        shared = {field.name: given.pop(field.name) for field in fields(Options)}
        try:
            body(command.load(context, body.__name__, _options(shared)), *args, **given)
        except UsageError as error:
            raise command.refused(body.__name__, error) from error

    own = inspect.signature(body).parameters.values()
    # Texts, numbers too: invoke ends with a traceback where a number is none.
    flags = [inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=str(f.default)) for f in fields(Options)]
    call.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
    return FleetTask(call, help={**own_help, **HELP}, auto_shortflags=False)


def _options(given: dict[str, str]) -> Options:
    """The flags as they were typed, with numbers as numbers."""
    for name in NUMBERS:
        if not re.fullmatch("[1-9][0-9]{0,8}", given[name]):
            raise UsageError(f"--{name}: expected a whole number above 0, got {given[name]}")
    return Options(**{**given, **{name: int(given[name]) for name in NUMBERS}})  # type: ignore[arg-type]
