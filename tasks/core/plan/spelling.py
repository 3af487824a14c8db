"""Suggest the name that was meant where a fix names a key or a module that the node's kernel does not have."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from tasks.core.kernel import ALIASES, MODULE_OF_PREFIX, SIDE_EFFECTS, key_name, providing_module
from tasks.core.profile.profile import RenderedProfile
from tasks.core.result import Item, ItemStatus, Kind

CHECK_SPELLING = "check its spelling"
_KEYS = {*map(key_name, ALIASES), *SIDE_EFFECTS}
_CLOSE = {Kind.SYSCTL: 0.9, Kind.MODULE: 0.8}  # keys of one folder are much alike: nf_conntrack_max, nf_conntrack_count
_MODULES = {module for _, module in MODULE_OF_PREFIX}


def suggest_names(items: Sequence[Item], profiles: Iterable[RenderedProfile]) -> tuple[Item, ...]:
    """Return the items of a fix with a step for a repair: no profile is edited for it, and no kernel package installed
    for a misspelt name. The names of the host's profiles and those of kernel.py are known."""
    rendered = list(profiles)
    keys = _KEYS | {entry.key for each in rendered for entry in each.sysctl_entries()}
    modules = _MODULES | {name for each in rendered for entry in each.module_entries() for name in entry.candidates}
    known = {Kind.SYSCTL: keys, Kind.MODULE: modules}
    return tuple(
        item._replace(next_step=_next_step(item, known[item.kind]))
        if item.status is ItemStatus.MISSING and item.kind in known
        else item
        for item in items
    )


def _next_step(item: Item, known: set[str]) -> str:
    if item.name not in known and (
        nearest := get_close_matches(item.name, sorted(known), n=1, cutoff=_CLOSE[item.kind])
    ):
        wanted = f"{nearest[0]}={item.expected}" if item.kind is Kind.SYSCTL else nearest[0]
        return f"did you mean {nearest[0]}? fab -H NODE fix {shlex.quote(wanted)}"
    if item.kind is Kind.SYSCTL:
        owner = providing_module(item.name)
        return f"{CHECK_SPELLING}; its module is {owner}: fab -H NODE fix {owner}" if owner else CHECK_SPELLING
    return item.next_step if item.name in known else f"{CHECK_SPELLING}; else {item.next_step}"
