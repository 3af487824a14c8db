"""Hosts and groups of an inventory, their variables by Ansible's precedence, and one host resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tasks.core.errors import InventoryError
from tasks.core.host import Host
from tasks.core.inventory.connection import resolve_connection
from tasks.core.inventory.names import name_problem
from tasks.core.inventory.variables import VariableError
from tasks.core.redact import Secret, is_secret_name


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
            way = resolve_connection(name, values)
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


def _file_variables(source: str, values: Mapping[str, object]) -> dict[str, Variable]:
    return {name: Variable(guarded(name, value), source) for name, value in values.items()}


def guarded(name: str, value: object) -> object:
    """Wraps what its name says is a secret, so that no repr of an inventory or a host shows it."""
    if is_secret_name(name) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return Secret(value)
    return value
