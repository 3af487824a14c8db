"""The entries of a rendered profile: a module, or a key with its value, on each line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from tasks.core.errors import ProfileError
from tasks.core.kernel import (
    MODULE,
    at_least,
    is_key,
    is_port_list,
    key_name,
    key_path,
    parse_integer,
    parse_ports,
    same_value,
)
from tasks.core.memo import memoized

# modules_disabled locks the node until a reboot; the others are triggers: a write flushes routes or drops caches, and
# no value is kept.
FORBIDDEN_KEYS = {"kernel.modules_disabled", "net.ipv4.route.flush", "net.ipv6.route.flush", "vm.drop_caches"}


class ModuleEntry(NamedTuple):
    """A line of modules-load.conf: the first of the candidates that the kernel has is loaded.

    optional: the kernel may have none of them.
    """

    line: int
    candidates: tuple[str, ...]
    optional: bool


class SysctlEntry(NamedTuple):
    """A line of sysctl.conf. key: dotted; minimum: `>=`; optional: the kernel may lack the key."""

    line: int
    key: str
    value: str
    minimum: bool
    optional: bool


Line = str | ModuleEntry | SysctlEntry
LineParser = Callable[[str, int, str], Line]


@memoized(maxsize=4096)  # hosts whose variables differ still share most lines
def parse_module_line(path: str, number: int, text: str) -> ModuleEntry:
    """Parse a line of modules-load.conf. Raise ProfileError with path and line."""
    optional = text.startswith("-")
    candidates = tuple(name.strip() for name in text.removeprefix("-").split("|"))
    bad = next((name for name in candidates if not MODULE.match(name)), None)
    if bad is not None:
        hint = f"; write {bad.split()[1]!r}" if bad.startswith(("modprobe ", "insmod ")) else ""
        problem = f"expected a bare module name (or `a | b`, or `-a`) and nothing else in the line, got {text!r}{hint}"
        raise ProfileError(path, number, problem)
    return ModuleEntry(number, candidates, optional)


@memoized(maxsize=4096)
def parse_sysctl_line(path: str, number: int, text: str) -> SysctlEntry:
    """Parse a line of sysctl.conf. Raise ProfileError with path and line."""
    match = re.fullmatch(r"(-?)\s*([^\s=>]+)\s*(>=|=)\s*(.*)", text)
    if not match or not match[4]:
        raise ProfileError(path, number, f"expected `key = value` (or `key >= value`, `-key = value`), got {text!r}")
    optional, key, operator, value = match.groups()
    if not is_key(key):
        glob = ": globs work on some nodes only, name each key" if re.search(r"[*?\[]", key) else ""
        raise ProfileError(path, number, f"{key!r} is not a sysctl key{glob}")
    name = key_name(key_path(key))
    if problem := _value_problem(name, value, operator == ">="):
        raise ProfileError(path, number, problem)
    return SysctlEntry(number, name, " ".join(value.split()), operator == ">=", bool(optional))


def _value_problem(key: str, value: str, minimum: bool) -> str:
    """Describe the fault of a value, or return an empty text."""
    list_of_ports = is_port_list(key)
    problems = (
        (key in FORBIDDEN_KEYS, f"{key} cannot be a setting: it acts when it is written"),
        (re.search(r"(^|\s)[#;]", value), "a comment after a value becomes part of it: give it a line of its own"),
        (value[0] in "=>", "expected `key = value` or `key >= value`"),
        (value[0] in "\"'", "sysctl does not remove quotes: write the bare value"),
        (not value.isascii(), "a value is plain ASCII"),
        (list_of_ports and parse_ports(value) is None, "expected ports such as 10250,30000-32767"),
        (
            minimum and not list_of_ports and None in map(parse_integer, value.split()),
            "`>=` compares integers, and this is not one",
        ),
    )
    return next((f"{text} (got {value!r} for {key})" for wrong, text in problems if wrong), "")


def are_compatible(one: SysctlEntry, other: SysctlEntry) -> bool:
    """Check that one value satisfies both entries."""
    if one.minimum and other.minimum:
        return True
    if one.minimum or other.minimum:
        exact, minimum = (other, one) if one.minimum else (one, other)
        return at_least(exact.key, exact.value, minimum.value)
    return same_value(one.key, one.value, other.value)


def format_entry(entry: SysctlEntry) -> str:
    """Format an entry as a profile writes it: `key = value` or `key >= value`."""
    return f"{entry.key} {'>=' if entry.minimum else '='} {entry.value}"
