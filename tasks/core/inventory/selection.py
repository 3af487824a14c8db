"""Select hosts by -H.

nodes,db1          groups and hosts of the inventory       web*,all         globs over both; everything
nodes,!lab-2       without                                 nodes,&rack1     only those that are in both
lab-[1-3,5]        ranges; n[01:10] as Ansible writes it   root@10.0.0.7:22 a host outside the inventory
nodes[0] nodes[-1] the first and the last of a group       nodes[1:2]       from its second to its third host

If the text before [0], [-1], [1:2] or [1:] is a group, a host or a glob over them, its hosts are counted as in Ansible;
otherwise the brackets are a range or a set of characters. nodes[1-2] is always a range: Ansible has removed that form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from tasks.core.errors import SelectionError
from tasks.core.host import Host
from tasks.core.inventory.inventory import Inventory
from tasks.core.inventory.names import ip_literal, name_problem, port_number
from tasks.core.inventory.ranges import RANGE_LIMIT, range_items

_GLOB = re.compile(r"[*?]|\[[^\]]+\]")
_ITEM = r"(?:[0-9]+|[A-Za-z])"
_SPAN = rf"{_ITEM}(?:-{_ITEM}|:{_ITEM}(?::[0-9]+)?)?"
_RANGE = re.compile(rf"\[({_SPAN}(?:,{_SPAN})*)\]")
_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]{1,9})|([0-9]{1,9}):([0-9]{0,9}))\]")
_SSH_PORT = 22


def select_hosts(
    inventory: Inventory, patterns: Sequence[str] | str, *, reachable_name: Callable[[str], bool]
) -> tuple[Host, ...]:
    """Return the hosts that -H selects, each once, in the order of the patterns (groups in inventory order).

    patterns: one text, or the list that fabric makes of it; exclusions and intersections count wherever they stand.
    reachable_name: returns True if a bare name outside the inventory is an ssh_config alias or can be resolved.
    Raise SelectionError for no patterns, an unknown name, a text that cannot be a name, or an empty result, and
    InventoryError if a selected host's variables cannot be used.
    """
    terms = _split_terms(patterns)
    if not terms:
        raise SelectionError("no hosts were chosen: name them with -H, for instance `-H all`")
    selector = _Selector(inventory, reachable_name, {})
    for term in terms:
        if term[0] not in "!&":
            selector.include(term)
    kept = list(selector.chosen)
    for term in terms:
        if term[0] in "!&":
            matching = selector.matching_names(term[1:])
            kept = [name for name in kept if (name in matching) == (term[0] == "&")]
    if not kept:
        raise SelectionError(_empty_selection(terms))
    return tuple(selector.host(name) for name in kept)


def duplicates(hosts: Iterable[Host]) -> dict[str, str]:
    """Return {name: earlier name} for the hosts that are the same node as an earlier one.

    Two hosts are one node if address, port (none means 22) and proxy are the same: one private address behind two
    bastions is two nodes.
    """
    first: dict[tuple[object, ...], str] = {}
    repeated: dict[str, str] = {}
    for host in hosts:
        address = ip_literal(host.address) or host.address.lower()
        key = (address, host.port or _SSH_PORT, host.ssh.proxy_jump, host.ssh.proxy_command)
        if first.get(key, host.name) != host.name:
            repeated[host.name] = first[key]
        else:
            first[key] = host.name
    return repeated


class _Target(NamedTuple):
    """The parts of `user@name:port`. is_explicit: it is more than a bare name, so the name is not looked up."""

    name: str
    user: str | None = None
    port: int | None = None
    is_explicit: bool = False


class _Subscript(NamedTuple):
    """The parts of `base[first]`, `base[first:last]` and `base[first:]` (last: -1); last is None for a single host."""

    base: str
    first: int
    last: int | None

    def pick(self, names: Sequence[str]) -> Sequence[str]:
        """Return the names that it counts out; none if there are fewer."""
        if self.last is None:
            return [names[self.first]] if -len(names) <= self.first < len(names) else []
        return names[self.first :] if self.last == -1 else names[self.first : self.last + 1]


@dataclass(slots=True)
class _Selector:
    """The hosts chosen so far, by name. Their variables are resolved last, so that excluded hosts cost nothing."""

    inventory: Inventory
    reachable_name: Callable[[str], bool]
    chosen: dict[str, _Target]

    def include(self, term: str) -> None:
        """Add the hosts of a term. A typed user or port also counts for a host that was chosen before."""
        for pattern in self._expand(term):
            for name, target in self._targets(pattern, term):
                before = self.chosen.get(name, target)
                user, port = target.user or before.user, target.port or before.port
                self.chosen[name] = _Target(target.name, user, port, target.is_explicit)

    def matching_names(self, term: str) -> set[str]:
        """Return the names that an exclusion or intersection matches, chosen hosts by name or address among them."""
        found: set[str] = set()
        for pattern in self._expand(term):
            _check_pattern(pattern)
            if picked := self._pick(pattern):
                found.update(picked)
                continue
            known = self._inventory_names(pattern)
            chosen = self._chosen_names(pattern)
            if not (known or chosen or pattern in self.inventory.groups or _GLOB.search(pattern)):
                raise SelectionError(self._unknown_name(pattern, term))
            found.update(known, chosen)
        return found

    def host(self, name: str) -> Host:
        """Return a chosen host with the user and port that were typed."""
        target = self.chosen[name]
        typed = f"{target.user}@{_with_port(target)}" if target.user else _with_port(target)
        typed = "" if typed == name else typed
        if name not in self.inventory.hosts:
            return Host(name, target.name, target.port, target.user, typed=typed)
        host = self.inventory.host(name)
        return replace(host, user=target.user or host.user, port=target.port or host.port, typed=typed)

    def _expand(self, term: str) -> Iterable[str]:
        """Return one term with its ranges expanded; a subscript of a group stays."""
        subscript = _parse_subscript(_split_port(term.rpartition("@")[2])[0])
        return [term] if subscript and self._counted_names(subscript) else _expand(term)

    def _counted_names(self, subscript: _Subscript) -> list[str]:
        """Return the names that a subscript counts: with repetitions and in Ansible's order."""
        base, inventory = subscript.base, self.inventory
        groups = [name for name in inventory.groups if fnmatchcase(name, base)]
        names = [host for group in groups for host in inventory.ordered_members(group)]
        if groups and not re.search(r"[.?*\[]", base):
            return names
        return [*names, *(name for name in inventory.hosts if fnmatchcase(name, base))]

    def _pick(self, pattern: str) -> list[str]:
        """Return the names of `group[1]`; empty for other patterns. Raise SelectionError if the group has too few."""
        subscript = _parse_subscript(pattern)
        counted = self._counted_names(subscript) if subscript else []
        if subscript is None or not counted:
            return []
        picked = subscript.pick(counted)
        if not picked:
            last = len(counted) - 1
            raise SelectionError(f'"{pattern}" selects no host: "{subscript.base}" has those from [0] to [{last}]')
        return list(dict.fromkeys(picked))

    def _chosen_names(self, pattern: str) -> list[str]:
        """Return the names of the chosen hosts with this name, glob or IP address."""
        address = ip_literal(pattern)
        if _GLOB.search(pattern):
            return [name for name in self.chosen if fnmatchcase(name, pattern)]
        if address is not None:
            return [name for name in self.chosen if name == pattern or ip_literal(self.host(name).address) == address]
        return [pattern] if pattern in self.chosen else []

    def _targets(self, pattern: str, term: str) -> list[tuple[str, _Target]]:
        """Return the hosts of one pattern: inventory names first, then `user@host:port` and names from outside."""
        _check_pattern(pattern)
        names = self._inventory_names(pattern)
        target = _Target(pattern) if names or pattern in self.inventory.groups else _parse_target(pattern)
        names = names or self._inventory_names(target.name)
        if names or target.name in self.inventory.groups:
            return [(name, target._replace(name=name)) for name in names]
        if _GLOB.search(target.name):
            raise SelectionError(f"no host or group in {self.inventory.source} matches {_quote(pattern, term)}")
        if not target.is_explicit and not self.reachable_name(target.name):
            raise SelectionError(self._unknown_name(pattern, term))
        return [(_with_port(target), target)]

    def _inventory_names(self, pattern: str) -> list[str]:
        groups, hosts = self.inventory.groups, self.inventory.hosts
        if pattern in groups:
            return list(groups[pattern].members)
        if pattern in hosts:
            return [pattern]
        if picked := self._pick(pattern):
            return picked
        if not _GLOB.search(pattern):
            return []
        matching = [group for name, group in groups.items() if name != "all" and fnmatchcase(name, pattern)]
        by_group = {name for group in matching for name in group.members}
        return [name for name in hosts if name in by_group or fnmatchcase(name, pattern)]

    def _unknown_name(self, pattern: str, term: str) -> str:
        source = self.inventory.source
        text = f"no host or group {_quote(pattern, term)} in {source}, and no such host can be found"
        known = [*self.inventory.groups, *self.inventory.hosts]
        nearest = get_close_matches(pattern.rpartition("@")[2], known, n=1)
        return f'{text}; did you mean "{nearest[0]}"?' if nearest else text


def _parse_target(pattern: str) -> _Target:
    user, at, rest = pattern.rpartition("@")
    name, colon, digits = _split_port(rest)
    if ":" in name and not ip_literal(name) and not _parse_subscript(name):
        raise SelectionError(f'"{pattern}": expected user@host:port, a name or an address, got "{name}" for a host')
    if not user and at:
        raise SelectionError(f'"{pattern}": expected a user before the @, got nothing')
    problem = name_problem(name, allowed="*?!" if _GLOB.search(name) else "") or (name_problem(user) if at else "")
    if problem:
        raise SelectionError(f'"{pattern}" is not a host: {problem}')
    if colon and port_number(digits) is None:
        raise SelectionError(f'"{pattern}": expected a port from 1 to 65535, got "{digits}"')
    is_explicit = bool(at or colon or ip_literal(name))
    return _Target(name, user or None, port_number(digits), is_explicit)


def _split_port(text: str) -> tuple[str, str, str]:
    """Return (name, ":" or "", port). An address with colons has a port only if it stands in brackets."""
    bracketed = re.fullmatch(r"\[([^\]]+)\](?:(:)([^:]*))?", text)
    if bracketed and (bracketed[2] or ":" in bracketed[1]):
        return bracketed[1], bracketed[2] or "", bracketed[3] or ""
    if counted := re.fullmatch(r"([^\[\]]+\[[^\]]*\])(?:(:)([^:]*))?", text):
        return counted[1], counted[2] or "", counted[3] or ""
    if text.count(":") != 1:
        return text, "", ""
    return text.partition(":")


def _parse_subscript(text: str) -> _Subscript | None:
    match = _SUBSCRIPT.fullmatch(text)
    if match is None:
        return None
    base, index, first, last = match.groups()
    return _Subscript(base, int(index), None) if index else _Subscript(base, int(first), int(last or -1))


def _with_port(target: _Target) -> str:
    """Return name and port. Outside the inventory both are the host's name: an address may forward to many nodes."""
    if target.port is None:
        return target.name
    return f"[{target.name}]:{target.port}" if ":" in target.name else f"{target.name}:{target.port}"


def _quote(pattern: str, term: str) -> str:
    return f'"{pattern}"' if pattern == term else f'"{pattern}" (from "{term}")'


def _empty_selection(terms: Sequence[str]) -> str:
    text = ",".join(terms)
    if all(term[0] in "!&" for term in terms):
        return f'"{text}" only excludes hosts: name those to exclude them from, for instance `-H all,{text}`'
    return f'"{text}" selects no host'


def _split_terms(patterns: Sequence[str] | str) -> list[str]:
    """Return the terms between commas outside brackets; fabric may have split the text at all commas before."""
    text = patterns if isinstance(patterns, str) else ",".join(patterns)
    if re.fullmatch(r"[^\[\]]*(\[[^\[\]]*\][^\[\]]*)*", text) is None:
        raise SelectionError(f"expected brackets in pairs, got {text!r}")
    terms = [term.strip(" ") for term in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text)]
    return [term for term in terms if term]


def _check_pattern(pattern: str) -> None:
    """Raise SelectionError for a text that can be neither a name nor a pattern, before it is looked up or shown."""
    problem = name_problem(pattern, allowed="*?!,%")
    if problem:
        raise SelectionError(f"{pattern!r} is not a host, a group or a pattern: {problem}")


def _expand(term: str) -> Iterator[str]:
    """Yield one term with its ranges expanded; brackets of an address or of a glob stay."""
    for count, pattern in enumerate(_expand_ranges(term)):
        if count == RANGE_LIMIT:
            raise SelectionError(f'"{term}": expected at most {RANGE_LIMIT} hosts from one range, got more')
        yield pattern


def _expand_ranges(term: str, start: int = 0) -> Iterator[str]:
    match = _RANGE.search(term, start)
    if match is None:
        yield term
    elif ip_literal(match[1]) or not re.search(r"[-:,]", match[1]):
        yield from _expand_ranges(term, match.end())
    else:
        for span in match[1].split(","):
            for item in _span_items(span, term):
                head = term[: match.start()] + item
                yield from _expand_ranges(head + term[match.end() :], len(head))


def _span_items(span: str, term: str) -> list[str]:
    if "-" not in span and ":" not in span:
        return [span]
    try:
        return range_items(span.replace("-", ":"))
    except ValueError as error:
        raise SelectionError(f'"{term}": {error}') from None
