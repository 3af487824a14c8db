"""Instructions of the node scripts that more than one room sends."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.core.facts import key_file
from tasks.core.kernel import normalize_module
from tasks.core.protocol.lock import LOCK, ChangeId


def want_modules(modules: Iterable[str]) -> list[str]:
    """Return a `want` line for each module, with a pattern that takes `-` and `_` alike."""
    names = dict.fromkeys(map(normalize_module, modules))
    return [f"want {name} {name.replace('_', '[-_]')}" for name in names]


def extra_probe(keys: Iterable[str], modules: Iterable[str]) -> list[str]:
    """What a probe has to look at besides: further keys and modules."""
    return [*(f"look {key_file(key)}" for key in keys), *want_modules(modules)]


def command_timeout(remaining: float) -> str:
    """How long one command may take on the node: half of what is left, so that what hangs is still reported."""
    return f"within {max(1, int(remaining / 2))}"


def take_lock(stamp: ChangeId, *, force: bool = False) -> list[str]:
    """What comes before any change: the node's lock, for this session. force: whoever has it."""
    return [*([f"unlock {LOCK}"] if force else []), f"lock {LOCK} {stamp.verb} {stamp.who} {stamp.run}"]
