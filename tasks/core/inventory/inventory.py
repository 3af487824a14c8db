"""Hosts and groups of an inventory, their variables by Ansible's precedence, and the resolution of one host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.core.errors import InventoryError, VariableError
from tasks.core.host import Host, SshOptions
from tasks.core.inventory.connection import resolve_connection
from tasks.core.inventory.names import name_problem
from tasks.core.inventory.variables import (
    EXPRESSION_PROBLEM,
    UnsafeSecret,
    UnsafeText,
    holds_expression,
)
from tasks.core.redact import Secret, is_secret_name

_BASTION = "bastion"


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of a variable and the place where it is set; line 0 means the whole file."""

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
    """Hosts and groups of one inventory in the order of the file, and the variable files beside it."""

    source: str
    hosts: Mapping[str, InventoryHost]
    groups: Mapping[str, InventoryGroup]
    group_files: Mapping[str, Mapping[str, Variable]] = field(default_factory=dict)
    host_files: Mapping[str, Mapping[str, Variable]] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Return all host names in the order in which the inventory first names them."""
        return tuple(self.hosts)

    def with_variables(
        self,
        group_vars: Mapping[str, Mapping[str, object]],
        host_vars: Mapping[str, Mapping[str, object]],
    ) -> Inventory:
        """Return a new Inventory with the variables of the files under group_vars/ and host_vars/.

        The mappings have group and host names as keys. Earlier variables of files are replaced; unknown groups and
        hosts are ignored. A value may be a Variable, which has its place. The precedence is Ansible's: groups in the
        inventory file < group_vars/all < group_vars/GROUP < host lines < host_vars/HOST.
        """
        return replace(
            self,
            group_files={name: _file_variables(f"group_vars/{name}", own) for name, own in group_vars.items()},
            host_files={name: _file_variables(f"host_vars/{name}", own) for name, own in host_vars.items()},
        )

    def host(self, name: str) -> Host:
        """Return one host with its variables, resolved by precedence, and its connection.

        Raise InventoryError if there is no such host, or if a connection variable cannot be used; the error names the
        place where that variable is set.
        """
        if name not in self.hosts:
            raise InventoryError(self.source, 0, f"no host {name!r}")
        problem = name_problem(name)
        if problem:
            raise InventoryError(self.source, self.hosts[name].line, f"expected a host name, but {problem}")
        found = self._resolve(name)
        values = {key: variable.value for key, variable in found.items()}
        try:
            connection = resolve_connection(name, values)
        except VariableError as error:
            raise self.located(error) from None
        groups = tuple(sorted(self.hosts[name].groups))
        address, port, user, ssh, become = connection
        if problem := self._bastion_problem(groups, ssh):
            ssh = replace(ssh, not_honoured=(*ssh.not_honoured, problem))
        return Host(name, address, port, user, groups, values, ssh, become)

    def ordered_members(self, group: str) -> tuple[str, ...]:
        """Return a group's hosts in the order in which Ansible counts them: its own, its children's, theirs.

        Below the children, Ansible's own order changes from run to run (it walks a set); here it is that of the file.
        """
        seen: dict[str, None] = {}
        level = [group]
        visited = {group}
        while level:
            seen.update(dict.fromkeys(host for name in level for host in self.groups[name].hosts))
            children = dict.fromkeys(child for name in level for child in self.groups[name].children)
            level = [child for child in children if child not in visited]
            visited.update(level)
        return tuple(seen)

    def _bastion_problem(self, groups: Sequence[str], ssh: SshOptions) -> str:
        """Return a note for a host without a proxy beside a group [bastion]; empty if there is none.

        Kubespray writes an ssh_config for that group (roles/bastion-ssh-config); we do not guess its ways.
        """
        members = self.groups[_BASTION].members if _BASTION in self.groups else ()
        if not members or _BASTION in groups or ssh.proxy_jump or ssh.proxy_command:
            return ""
        variables = self.variables(members[0])
        user, address, port = map(variables.get, ("ansible_user", "ansible_host", "ansible_port"))
        jump = f"{f'{user}@' if user else ''}{address or members[0]}{f':{port}' if port else ''}"
        return (
            f"[{_BASTION}] (Kubespray's jump host: set ansible_ssh_common_args='-J {jump}', or ProxyJump in ssh_config)"
        )

    def has_own_variables(self, name: str) -> bool:
        """Return False if a host has only the variables of its groups, as all hosts in the same groups have."""
        return name not in self.hosts or bool(self.hosts[name].variables or self.host_files.get(name))

    def variables(self, name: str) -> dict[str, object]:
        """Return the variables of a host, merged by precedence. Raise KeyError for an unknown name."""
        return {key: variable.value for key, variable in self._resolve(name).items()}

    def check_literals(self, host: Host, names: Iterable[str]) -> None:
        """Raise InventoryError, with the place, if one of these variables of a host holds a Jinja expression.

        Ansible would evaluate it; a template would get it as text.
        """
        for name in names:
            if holds_expression(host.variables.get(name)):
                raise self.located(VariableError(host.name, name, EXPRESSION_PROBLEM))

    def located(self, error: VariableError) -> InventoryError:
        """Return an error about a host's variable with the place where that is set."""
        here = Variable(None, self.source, self.hosts[error.host].line if error.host in self.hosts else 0)
        found = self._resolve(error.host) if error.host in self.hosts else {}
        place = found.get(error.variable, here)
        return InventoryError(place.source, place.line, str(error))

    def _resolve(self, name: str) -> dict[str, Variable]:
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
    given = {name: value if isinstance(value, Variable) else Variable(value, source) for name, value in values.items()}
    return {name: replace(each, value=protect_secret(name, each.value)) for name, each in given.items()}


def protect_secret(name: str, value: object) -> object:
    """Return a Secret for a value whose name tells of one, so that no repr of an inventory or a host shows it."""
    if is_secret_name(name) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return UnsafeSecret(value) if isinstance(value, UnsafeText) else Secret(value)
    return value
