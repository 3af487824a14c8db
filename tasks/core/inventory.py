"""hosts.ini text to an Inventory: Ansible's INI grammar and its precedence of variables, nothing read from disk.

`ansible-inventory --list` is the oracle in the tests. Where Ansible silently drops hosts (a range that counts
backwards) this module says so instead.
"""

from __future__ import annotations

import ast
import re
import shlex
import string
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address

from tasks.core.connection import VariableError, connection, ip_literal, is_secret, name_problem
from tasks.core.errors import InventoryError, UsageError
from tasks.core.model import Host, Secret

PROXY_MODES = ("ipvs", "iptables", "nftables")
RANGE_LIMIT = 65_536
"""More hosts than this from one line is taken for a typing mistake."""

_PRIORITY = "ansible_group_priority"
_HEADER = re.compile(r"\[(?P<group>[^:\]\s]+)(:(?P<kind>\w+))?\]\s*(#.*)?")
_CHILD = re.compile(r"(?P<group>[^:\]\s]+)\s*(#.*)?")
_YAML_KEY = re.compile(r"['\"]?[\w.-]+['\"]?\s*:(\s+#.*)?")
_RANGE = r"\[(?:[0-9]+:[0-9]+|[A-Za-z]:[A-Za-z])(?::[0-9]+)?\]"
_HEX_RANGE = r"\[[0-9A-Fa-f]+:[0-9A-Fa-f]+(?::[0-9]+)?\]"
_LABEL = r"(?:[^\W_]|\w[\w-]*[^\W_])"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable's value and where it was written; line 0 means the whole file."""

    value: object
    source: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class InventoryHost:
    """A host as written: its own variables, all its groups but `all` (lowest precedence first), its first line."""

    name: str
    variables: Mapping[str, Variable] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class InventoryGroup:
    """A group as written. hosts and children are its direct ones; members are all its hosts in inventory order."""

    name: str
    hosts: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    variables: Mapping[str, Variable] = field(default_factory=dict)
    depth: int = 0
    priority: int = 1


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hosts and groups of one inventory, in the order of the file, with the variable files that lie beside it."""

    source: str
    hosts: Mapping[str, InventoryHost]
    groups: Mapping[str, InventoryGroup]
    group_files: Mapping[str, Mapping[str, Variable]] = field(default_factory=dict)
    host_files: Mapping[str, Mapping[str, Variable]] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """All host names in the order in which the inventory first names them."""
        return tuple(self.hosts)

    def with_variables(
        self,
        group_vars: Mapping[str, Mapping[str, object]],
        host_vars: Mapping[str, Mapping[str, object]],
    ) -> Inventory:
        """Adds what the files under group_vars/ and host_vars/ say, keyed by group and by host.

        Out: a new Inventory; what was added earlier is replaced, unknown groups and hosts are ignored. Precedence is
        Ansible's: groups in the inventory file < group_vars/all < group_vars/GROUP < host lines < host_vars/HOST.
        """
        return replace(
            self,
            group_files={name: _file_variables(f"group_vars/{name}", own) for name, own in group_vars.items()},
            host_files={name: _file_variables(f"host_vars/{name}", own) for name, own in host_vars.items()},
        )

    def host(self, name: str) -> Host:
        """Resolves one host: its variables by precedence, and from them how it is reached.

        Raises InventoryError when there is no such host, or when a connection variable cannot be used; the error names
        the place where that variable was written.
        """
        if name not in self.hosts:
            raise InventoryError(self.source, 0, f"no host {name!r}")
        problem = name_problem(name)
        if problem:
            raise InventoryError(self.source, self.hosts[name].line, f"expected a host name, but {problem}")
        found = self._resolved(name)
        values = {key: variable.value for key, variable in found.items()}
        try:
            way = connection(name, values)
        except VariableError as error:
            place = found.get(error.variable, Variable(None, self.source, self.hosts[name].line))
            raise InventoryError(place.source, place.line, str(error)) from None
        groups = tuple(sorted(self.hosts[name].groups))
        return Host(name, way.address, way.port, way.user, groups, values, way.ssh, way.become)

    def says_something_of(self, name: str) -> bool:
        """Whether a host has variables of its own; else they are those of all hosts in the same groups."""
        return name not in self.hosts or bool(self.hosts[name].variables or self.host_files.get(name))

    def variables(self, name: str) -> dict[str, object]:
        """The variables of a host of this inventory, merged by precedence. Raises KeyError for any other name."""
        return {key: variable.value for key, variable in self._resolved(name).items()}

    def _resolved(self, name: str) -> dict[str, Variable]:
        host = self.hosts[name]
        merged: dict[str, Variable] = {}
        for layer in (
            *(self.groups[group].variables for group in ("all", *host.groups)),
            *(self.group_files.get(group, {}) for group in ("all", *host.groups)),
            host.variables,
            self.host_files.get(name, {}),
        ):
            merged.update(layer)
        return merged


def parse(text: str, source: str) -> Inventory:
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


def template_variables(host: Host) -> dict[str, object]:
    """What a template may use of a host: its variables, inventory_hostname, group_names and kube_proxy_mode.

    kube_proxy_mode is the variable of that name (Kubespray), else PROXY_MODE (kubeasz), in lower case; it is left out
    when there is neither. Raises UsageError, naming host and variable, for a mode that kube-proxy does not have.
    """
    variables: dict[str, object] = dict(host.variables)
    variables["inventory_hostname"] = host.name
    variables["group_names"] = list(host.groups)
    origin = next((name for name in ("kube_proxy_mode", "PROXY_MODE") if name in host.variables), None)
    if origin is not None:
        variables["kube_proxy_mode"] = _proxy_mode(host.name, origin, host.variables[origin])
    return variables


def _proxy_mode(host: str, variable: str, value: object) -> str:
    mode = str(value).strip().lower()
    if mode not in PROXY_MODES:
        raise UsageError(f"host {host}: {variable}: expected one of {', '.join(PROXY_MODES)}, got {value!r}")
    return mode


def split_port(text: str) -> tuple[str, str | None]:
    """Splits `name:port` and `[address]:port` into name and port digits; (text, None) where there is no port.

    The name may hold ranges. A text whose name part could not be a host is not split, as in Ansible.
    """
    name, port = text, None
    bracketed = re.fullmatch(r"\[(.+)\]:([0-9]+)", name)
    if bracketed:
        name, port = bracketed[1], bracketed[2]
    plain = re.fullmatch(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)", name)
    if plain:
        name, port = plain[1], plain[2]
    return (name, port) if _could_be_host(name) else (text, None)


def expand_range(text: str) -> Iterator[str]:
    """Expands `[begin:end]` and `[begin:end:step]` in a host pattern, as often as there are; left to right.

    Raises ValueError, its text saying what was expected and got, for a range that cannot be counted or is empty.
    """
    if "[" not in text:
        yield text
        return
    head, _, rest = text.partition("[")
    inside, closed, tail = rest.partition("]")
    if not closed:
        raise ValueError(f"expected a closing ']' for the range, got {text!r}")
    for item in range_items(inside):
        for name in expand_range(tail):
            yield f"{head}{item}{name}"


def range_items(inside: str) -> list[str]:
    """Counts out what stands between the brackets of a range: `01:03` gives 01, 02, 03 and `a:c` gives a, b, c.

    Raises ValueError, its text saying what was expected and got.
    """
    bounds = inside.split(":")
    if len(bounds) not in (2, 3) or not bounds[1]:
        raise ValueError(f"expected a range [begin:end] or [begin:end:step], got [{inside}]")
    begin, end = bounds[0] or "0", bounds[1]
    step = _range_number(bounds[2], inside) if len(bounds) == 3 else 1
    if step < 1:
        raise ValueError(f"expected a step of 1 or more, got [{inside}]")
    items = _letters(begin, end, step) or _numbers(begin, end, step, inside)
    if not items:
        raise ValueError(f"expected a range that counts upwards, got [{inside}]")
    return items


def _letters(begin: str, end: str, step: int) -> list[str]:
    letters = string.ascii_letters
    if not (len(begin) == len(end) == 1 and begin in letters and end in letters):
        return []
    if letters.index(begin) > letters.index(end):
        raise ValueError(f"expected a range that counts upwards, got [{begin}:{end}]")
    return list(letters[letters.index(begin) : letters.index(end) + 1 : step])


def _numbers(begin: str, end: str, step: int, inside: str) -> list[str]:
    width = len(begin) if begin[0] == "0" and len(begin) > 1 else 0
    if width and width != len(end):
        raise ValueError(f"expected begin and end of a padded range to be of equal length, got [{inside}]")
    numbers = range(_range_number(begin, inside), _range_number(end, inside) + 1, step)
    if numbers and numbers[-1] - numbers[0] > RANGE_LIMIT * step:
        raise ValueError(f"expected a range of at most {RANGE_LIMIT} hosts, got [{inside}]")
    return [str(number).zfill(width) for number in numbers]


def _range_number(text: str, inside: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(f"expected a range of numbers or of single letters, got [{inside}]")
    return int(text)


def _could_be_host(name: str) -> bool:
    as_name = re.sub(_RANGE, "0", name)
    as_address = re.sub(_HEX_RANGE, "0", name)
    return bool(_HOST_NAME.fullmatch(as_name)) or isinstance(ip_literal(as_address), IPv6Address)


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


def _file_variables(source: str, values: Mapping[str, object]) -> dict[str, Variable]:
    return {name: Variable(_guarded(name, value), source) for name, value in values.items()}


def _guarded(name: str, value: object) -> object:
    """Wraps what its name says is a secret, so that no repr of an inventory or a host shows it."""
    if is_secret(name) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return Secret(value)
    return value


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
            raise self.error(number, f"expected key=value, got {_shown(line, line)}")
        self._set([self.section], name.strip(), text.strip(), number)

    def _read_hosts(self, number: int, line: str) -> None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise self.error(number, f"expected a host and key=value pairs, got an open quote ({error})") from None
        if not words or not words[0]:
            raise self.error(number, f"expected a host name, got {_shown(line, line)}")
        names = self._add_hosts(number, words[0])
        for word in words[1:]:
            key, equals, text = word.partition("=")
            if not equals:
                raise self.error(number, f"expected key=value after the host name, got {_shown(word, line)}")
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
            return _expand_bounded(name), int(port or 0)
        except ValueError as error:
            raise self.error(number, str(error)) from None

    def _set(self, owners: Iterable[str], name: str, text: str, number: int) -> None:
        """Sets a variable of groups or hosts; a group comes before a host of the same name, as in Ansible."""
        try:
            value = _value(text)
        except ValueError as error:
            raise self.error(number, f"{name}: {error}") from None
        variable = Variable(_guarded(name, value), self.source, number)
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


def _expand_bounded(pattern: str) -> list[str]:
    names: list[str] = []
    for name in expand_range(pattern):
        names.append(name)
        if len(names) > RANGE_LIMIT:
            raise ValueError(f"expected at most {RANGE_LIMIT} hosts from one line, got more from {pattern!r}")
    return names


def _shown(text: str, line: str) -> str:
    """Quotes a piece of a line for a message, unless the line holds a secret."""
    keys = re.findall(r"([\w-]+)\s*=", line)
    return "a line with a secret in it" if any(is_secret(key) for key in keys) else repr(text)
