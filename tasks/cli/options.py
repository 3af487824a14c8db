"""The flags that every verb has, and their help."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.core.errors import UsageError


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


def parse_options(given: dict[str, str]) -> Options:
    """Parse the flags as they were typed. Raises UsageError for a number that is not above 0."""
    for name in NUMBERS:
        if not re.fullmatch("[1-9][0-9]{0,8}", given[name]):
            raise UsageError(f"--{name}: expected a whole number above 0, got {given[name]}")
    return Options(**{**given, **{name: int(given[name]) for name in NUMBERS}})  # type: ignore[arg-type]


def check_choices(options: Options, choices: dict[str, tuple[str, ...]]) -> None:
    """Raise UsageError for a flag whose value is not one of its choices."""
    for name, allowed in choices.items():
        if (value := getattr(options, name)) not in allowed:
            expected = ", ".join(filter(None, allowed))
            raise UsageError(f"--{name.replace('_', '-')}: expected one of {expected}, got {value!r}")
