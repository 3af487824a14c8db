"""Build an Inventory from what a grammar reads: the tree of groups, and the order in which variables count.

A grammar (ini.py) adds groups, hosts and variables in the order of its file and then calls `InventoryBuilder.build`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks.core.errors import InventoryError
from tasks.core.inventory.inventory import Inventory, InventoryGroup, InventoryHost, Variable, protect_secret

_PRIORITY = "ansible_group_priority"


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


class InventoryBuilder:
    """An inventory while it is read. Lines are counted from 1; 0 means the whole file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._hosts: dict[str, _DraftHost] = {}
        self._groups = {"all": _DraftGroup("all"), "ungrouped": _DraftGroup("ungrouped")}
        self._edges: list[tuple[str, str, int]] = []
        self._arrivals: dict[str | tuple[str, str, int], int] = {"all": 0, "ungrouped": 0}  # place of groups and edges

    def error(self, line: int, problem: str) -> InventoryError:
        """Return the error that names the file and the line."""
        return InventoryError(self._source, line, problem)

    def add_group(self, name: str) -> None:
        """Add a group; `all` and `ungrouped` are always there."""
        self._arrivals.setdefault(name, len(self._arrivals))
        self._groups.setdefault(name, _DraftGroup(name))

    def add_child(self, parent: str, child: str, line: int) -> None:
        """Put a group into another. Both have to be added before `build`, in either order."""
        edge = (parent, child, line)
        self._edges.append(edge)
        self._arrivals.setdefault(edge, len(self._arrivals))

    def add_host(self, name: str, group: str, line: int, port: int | None = None) -> None:
        """Add a host to a group. Of several ports the one of the first mention counts, as in Ansible."""
        known = name in self._hosts
        host = self._hosts.setdefault(name, _DraftHost(name, line))
        if port and not known:
            host.variables["ansible_port"] = Variable(port, self._source, line)
        host.groups[group] = None
        self._groups[group].hosts[name] = None

    def set_variable(self, owner: str, name: str, value: object, line: int) -> None:
        """Set a variable of a group or a host; a group comes before a host of the same name, as in Ansible.

        Raise InventoryError for a group priority that is not a whole number.
        """
        variable = Variable(protect_secret(name, value), self._source, line)
        group = self._groups.get(owner)
        if group is None:
            self._hosts[owner].variables[name] = variable
        elif name == _PRIORITY:
            group.priority = self._priority(value, line)
        else:
            group.variables[name] = variable

    def build(self) -> Inventory:
        """Return the Inventory. Raise InventoryError for groups in a loop."""
        self._link("all", "ungrouped", 0)
        for parent, child, line in self._ordered_edges():
            self._link(parent, child, line)
        for group in self._groups.values():
            if group.name != "all" and not group.parents:
                self._link("all", group.name, 0)
        self._settle_ungrouped()
        return self._inventory()

    def _priority(self, value: object, line: int) -> int:
        try:
            return int(value)  # type: ignore[call-overload, no-any-return]
        except (TypeError, ValueError, OverflowError):
            raise self.error(line, f"{_PRIORITY}: expected a whole number, got {value!r}") from None

    def _ordered_edges(self) -> list[tuple[str, str, int]]:
        """Return the edges in Ansible's order: a child that is declared later than it is used comes in there."""
        return sorted(self._edges, key=lambda edge: max(self._arrivals[edge], self._arrivals[edge[1]]))

    def _link(self, parent: str, child: str, line: int) -> None:
        if child == "all" or child in self._with_ancestors([parent]):
            raise self.error(line, f"expected groups without a loop, but {parent!r} is inside {child!r} already")
        self._groups[parent].children[child] = None
        self._groups[child].parents[parent] = None

    def _with_ancestors(self, names: Iterable[str]) -> set[str]:
        """Return some groups and every group above them."""
        seen: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(self._groups[name].parents)
        return seen

    def _settle_ungrouped(self) -> None:
        """Put each host into `ungrouped` exactly when no other group has it."""
        ungrouped = self._groups["ungrouped"]
        for host in self._hosts.values():
            if self._with_ancestors(host.groups) - {"all", "ungrouped"}:
                host.groups.pop("ungrouped", None)
                ungrouped.hosts.pop(host.name, None)
            else:
                host.groups["ungrouped"] = None
                ungrouped.hosts[host.name] = None

    def _inventory(self) -> Inventory:
        depths = self._depths()
        ranks = {name: (depths[name], group.priority, name) for name, group in self._groups.items()}
        hosts: dict[str, InventoryHost] = {}
        members: dict[str, list[str]] = {name: [] for name in self._groups}
        closures: dict[tuple[str, ...], tuple[str, ...]] = {}
        for host in self._hosts.values():
            direct = tuple(host.groups)
            if direct not in closures:
                closures[direct] = tuple(sorted(self._with_ancestors(direct) - {"all"}, key=ranks.__getitem__))
            hosts[host.name] = InventoryHost(host.name, host.variables, closures[direct], host.line)
            for group in ("all", *closures[direct]):
                members[group].append(host.name)
        groups = {name: self._group(name, depths[name], members[name]) for name in self._groups}
        return Inventory(self._source, hosts, groups)

    def _group(self, name: str, depth: int, members: list[str]) -> InventoryGroup:
        draft = self._groups[name]
        return InventoryGroup(
            name, tuple(draft.hosts), tuple(draft.children), tuple(members), draft.variables, depth, draft.priority
        )

    def _depths(self) -> dict[str, int]:
        """Return for each group the length of the longest way down to it from `all`."""
        depths: dict[str, int] = {}
        level, depth = {"all"}, 0
        while level:
            depths.update(dict.fromkeys(level, depth))
            level = {child for name in level for child in self._groups[name].children}
            depth += 1
        return depths
