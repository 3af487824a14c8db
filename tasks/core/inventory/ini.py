"""Parse Ansible's INI inventories."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks.core.errors import InventoryError
from tasks.core.inventory.inventory import Inventory, InventoryGroup, InventoryHost, Variable, guarded
from tasks.core.inventory.ranges import expand_bounded, split_port
from tasks.core.redact import is_secret_name

_PRIORITY = "ansible_group_priority"
_HEADER = re.compile(r"\[(?P<group>[^:\]\s]+)(:(?P<kind>\w+))?\]\s*(#.*)?")
_CHILD = re.compile(r"(?P<group>[^:\]\s]+)\s*(#.*)?")
_YAML_KEY = re.compile(r"['\"]?[\w.-]+['\"]?\s*:(\s+#.*)?")


def parse_ini(text: str, source: str) -> Inventory:
    """Reads an INI inventory.

    In: the file's text and its path as the admin knows it. Out: the Inventory. Raises InventoryError with the line and
    what was expected there; also for a file that is another kind of inventory (YAML, JSON, TOML, a script).
    """
    text = text.removeprefix("\ufeff")
    _refuse_other_formats(text, source)
    draft = _Draft(source)
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line and line[0] not in ";#":
            draft.read(number, line)
    return draft.finish()


def _refuse_other_formats(text: str, source: str) -> None:
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    number, first = next(((number, line) for number, line in lines if line and line[0] not in ";#"), (0, ""))
    kind = ""
    if "\0" in text:
        number, kind = 0, "a binary file"
    elif text.startswith("#!"):
        number, kind = 1, "a script (a dynamic inventory)"
    elif source.endswith(".toml"):
        number, kind = 0, "a TOML file"
    elif first.startswith("{"):
        kind = "JSON"
    elif first == "---" or first.startswith("%YAML") or _YAML_KEY.fullmatch(first):
        kind = "YAML"
    if kind:
        raise InventoryError(source, number, f"expected an INI inventory ([group] sections of hosts), got {kind}")


def _value(text: str) -> object:
    """A Python literal where the text is one (1, [1, 2], True, 'a b'), else the text itself.

    Raises ValueError for a literal that Python itself cannot build, such as a set of lists.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _plain(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text
    except (TypeError, MemoryError, RecursionError):
        raise ValueError("expected a text or a literal, got a literal that Python cannot build") from None


def _plain(value: object) -> object:
    """Makes a literal of the types that variables have: lists for tuples and sets, text for bytes and complex."""
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if value is ...:
        return "..."
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, complex) else value


@dataclass(slots=True)
class _DraftHost:
    name: str
    line: int
    variables: dict[str, Variable] = field(default_factory=dict)
    groups: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _DraftGroup:
    name: str
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    parents: dict[str, None] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    priority: int = 1


class _Draft:
    """An inventory while it is read: what the current section is, and all that was seen so far."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.hosts: dict[str, _DraftHost] = {}
        self.groups = {"all": _DraftGroup("all"), "ungrouped": _DraftGroup("ungrouped")}
        self.declared = {"all", "ungrouped"}
        self.wanted: dict[str, tuple[int, str]] = {}
        self.edges: list[tuple[str, str, int]] = []
        self.section, self.kind = "ungrouped", "hosts"

    def error(self, line: int, problem: str) -> InventoryError:
        return InventoryError(self.source, line, problem)

    def read(self, number: int, line: str) -> None:
        """Takes one line that is neither empty nor a comment."""
        header = _HEADER.fullmatch(line)
        if header:
            self._open_section(number, header["group"], header["kind"] or "hosts")
        elif line.startswith("[") and line.endswith("]"):
            raise self.error(number, f"expected a section like [group], [group:children] or [group:vars], got {line!r}")
        elif self.kind == "hosts":
            self._read_hosts(number, line)
        elif self.kind == "vars":
            self._read_group_variable(number, line)
        else:
            self._read_child(number, line)

    def _open_section(self, number: int, group: str, kind: str) -> None:
        if kind not in ("hosts", "children", "vars"):
            raise self.error(number, f"expected a section of kind children or vars, got [{group}:{kind}]")
        self.section, self.kind = group, kind
        self.groups.setdefault(group, _DraftGroup(group))
        if kind == "vars":
            self.wanted.setdefault(group, (number, f"[{group}:vars] sets variables of it"))
        else:
            self.declared.add(group)

    def _read_child(self, number: int, line: str) -> None:
        match = _CHILD.fullmatch(line)
        if not match:
            raise self.error(number, f"expected the name of one group, got {line!r}")
        child = match["group"]
        self.wanted.setdefault(child, (number, f"[{self.section}:children] includes it"))
        self.edges.append((self.section, child, number))

    def _read_group_variable(self, number: int, line: str) -> None:
        name, equals, text = line.partition("=")
        if not equals:
            raise self.error(number, f"expected key=value, got {_quoted(line, line)}")
        self._set([self.section], name.strip(), text.strip(), number)

    def _read_hosts(self, number: int, line: str) -> None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise self.error(number, f"expected a host and key=value pairs, got an open quote ({error})") from None
        if not words or not words[0]:
            raise self.error(number, f"expected a host name, got {_quoted(line, line)}")
        names = self._add_hosts(number, words[0])
        for word in words[1:]:
            key, equals, text = word.partition("=")
            if not equals:
                raise self.error(number, f"expected key=value after the host name, got {_quoted(word, line)}")
            self._set(names, key, text, number)

    def _add_hosts(self, number: int, pattern: str) -> list[str]:
        names, port = self._host_names(number, pattern)
        for name in names:
            known = name in self.hosts
            host = self.hosts.setdefault(name, _DraftHost(name, number))
            if port and not known:  # Ansible takes the port of the first mention only
                host.variables["ansible_port"] = Variable(port, self.source, number)
            host.groups[self.section] = None
            self.groups[self.section].hosts[name] = None
        return names

    def _host_names(self, number: int, pattern: str) -> tuple[list[str], int]:
        name, port = split_port(pattern)
        if port is None and pattern.endswith(":"):
            raise self.error(number, f"expected a port after the colon of {pattern!r}, got the end")
        if port is not None and not 1 <= int(port[:6]) <= 65535:
            raise self.error(number, f"host {name}: expected a port from 1 to 65535, got {port}")
        if name == "---":
            raise self.error(number, "expected a host name, got '---', which begins a YAML document")
        try:
            return expand_bounded(name), int(port or 0)
        except ValueError as error:
            raise self.error(number, str(error)) from None

    def _set(self, owners: Iterable[str], name: str, text: str, number: int) -> None:
        """Sets a variable of groups or hosts; a group comes before a host of the same name, as in Ansible."""
        try:
            value = _value(text)
        except ValueError as error:
            raise self.error(number, f"{name}: {error}") from None
        variable = Variable(guarded(name, value), self.source, number)
        for owner in owners:
            group = self.groups.get(owner)
            if group is None:
                self.hosts[owner].variables[name] = variable
            elif name == _PRIORITY:
                group.priority = self._priority(value, number)
            else:
                group.variables[name] = variable

    def _priority(self, value: object, number: int) -> int:
        try:
            return int(value)  # type: ignore[call-overload, no-any-return]
        except (TypeError, ValueError, OverflowError):
            raise self.error(number, f"{_PRIORITY}: expected a whole number, got {value!r}") from None

    def finish(self) -> Inventory:
        """Checks what only the whole file can tell, and works out the tree."""
        for name, (number, why) in self.wanted.items():
            if name not in self.declared:
                raise self.error(number, f"expected group {name!r} to be declared as [{name}] somewhere: {why}")
        for parent, child, number in self.edges:
            self._link(parent, child, number)
        for group in self.groups.values():
            if group.name != "all" and not group.parents:
                self._link("all", group.name, 0)
        self._settle_ungrouped()
        return self._build()

    def _link(self, parent: str, child: str, number: int) -> None:
        if child == "all" or child in self._ancestors([parent]):
            raise self.error(number, f"expected groups without a loop, but {parent!r} is inside {child!r} already")
        self.groups[parent].children[child] = None
        self.groups[child].parents[parent] = None

    def _ancestors(self, names: Iterable[str]) -> set[str]:
        """The named groups and everything above them."""
        seen: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(self.groups[name].parents)
        return seen

    def _settle_ungrouped(self) -> None:
        """A host is in `ungrouped` exactly when no other group has it."""
        ungrouped = self.groups["ungrouped"]
        for host in self.hosts.values():
            above = self._ancestors(host.groups)
            if above - {"all", "ungrouped"}:
                host.groups.pop("ungrouped", None)
                ungrouped.hosts.pop(host.name, None)
            else:
                host.groups["ungrouped"] = None
                ungrouped.hosts[host.name] = None

    def _build(self) -> Inventory:
        depths = self._depths()
        ranks = {name: (depths[name], group.priority, name) for name, group in self.groups.items()}
        hosts: dict[str, InventoryHost] = {}
        members: dict[str, list[str]] = {name: [] for name in self.groups}
        closures: dict[tuple[str, ...], tuple[str, ...]] = {}
        for host in self.hosts.values():
            direct = tuple(host.groups)
            if direct not in closures:
                closures[direct] = tuple(sorted(self._ancestors(direct) - {"all"}, key=ranks.__getitem__))
            hosts[host.name] = InventoryHost(host.name, host.variables, closures[direct], host.line)
            for group in ("all", *closures[direct]):
                members[group].append(host.name)
        groups = {name: self._group(name, depths[name], members[name]) for name in self.groups}
        return Inventory(self.source, hosts, groups)

    def _group(self, name: str, depth: int, members: list[str]) -> InventoryGroup:
        draft = self.groups[name]
        return InventoryGroup(
            name, tuple(draft.hosts), tuple(draft.children), tuple(members), draft.variables, depth, draft.priority
        )

    def _depths(self) -> dict[str, int]:
        """The longest way from `all` down to each group."""
        depths: dict[str, int] = {}
        level, depth = {"all"}, 0
        while level:
            depths.update(dict.fromkeys(level, depth))
            level = {child for name in level for child in self.groups[name].children}
            depth += 1
        return depths


def _quoted(text: str, line: str) -> str:
    """Quotes a piece of a line for a message, unless the line holds a secret."""
    keys = re.findall(r"([\w-]+)\s*=", line)
    return "a line with a secret in it" if any(is_secret_name(key) for key in keys) else repr(text)
