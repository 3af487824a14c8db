"""The way to a node and who logs in where: the inventory's word first, then ssh_config's, then fabric's defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from paramiko import SSHConfig

from tasks.core.errors import UnreachableError
from tasks.core.host import Host, HostKeys

CONNECT_SECONDS = 10.0

_JUMP = re.compile(
    r"(?:(.*)@)?(?:\[([^]]+)\]|([^:]+|.*:.*:.*))(?::([0-9]+))?"
)  # an IPv6 address has a port in brackets

_Engine: Any = SSHConfig  # its stubs leave out what a subclass needs


class _Config(_Engine):  # type: ignore[misc]
    """An ssh_config that only expands what has something to expand.

    paramiko makes all replacements first, for each setting of each host, and for %l asks the resolver for the admin's
    own full name.
    """

    def __init__(self, read: Any) -> None:
        """read: a configuration that was read already."""
        super().__init__()
        self._config = read._config

    def _tokenize(self, config: Any, target_hostname: str, key: str, value: str) -> str:
        expands = "%" in value or "~" in value
        return super()._tokenize(config, target_hostname, key, value) if expands else value


class Access(NamedTuple):
    """What connecting needs besides the host: fabric's settings, and the admin's word on host keys.

    Read once, before the fan-out: fabric's own configuration is not safe between threads, and a copy for each host cost
    more CPU than its key exchange. login: what paramiko's SSHClient.connect takes, such as password and key_filename.
    proxy_command: where ssh_config and the inventory know no way.
    """

    ssh_config: SSHConfig
    user: str
    port: int
    login: Mapping[str, Any]
    proxy_command: str
    seconds: float
    host_keys: HostKeys | None

    @classmethod
    def of(cls, config: Any, host_keys: HostKeys | None) -> Access:
        """From fabric's configuration, which `fab` has filled with ssh_config, -i and its prompts."""
        login = dict(config.connect_kwargs)
        seconds = login.pop("timeout", None) or config.timeouts.connect or CONNECT_SECONDS
        return cls(
            _Config(config.base_ssh_config),
            str(config.user),
            int(config.port),
            login,
            str(config.gateway or ""),
            float(seconds),
            host_keys,
        )


class Hop(NamedTuple):
    """One SSH server on the way. key_files: in the order in which they are tried. settings: ssh_config's for it."""

    host: str
    port: int
    user: str
    key_files: tuple[str, ...]
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


class Route(NamedTuple):
    """One SSH server after the other, the node itself last. proxy_command: what leads to the first, if anything."""

    hops: tuple[Hop, ...]
    proxy_command: str = ""


def route(host: Host, access: Access) -> Route:
    """The way to a node. Raises UnreachableError if a jump host's name is none."""
    node = _hop(host.address, host.user, host.port, host.ssh.key_files, access)
    command, jump = host.ssh.proxy_command, host.ssh.proxy_jump
    if command is None and jump is None:
        return _configured(node, access, frozenset())
    return _through(node, command, jump, access, frozenset())


def _configured(hop: Hop, access: Access, passed: frozenset[str]) -> Route:
    """The way that ssh_config or fabric's configuration knows."""
    jump, command = hop.settings.get("proxyjump"), hop.settings.get("proxycommand")
    if not (jump or command):
        command = access.proxy_command
    return _through(hop, None if jump else command, jump, access, passed)


def _through(hop: Hop, command: str | None, jump: str | None, access: Access, passed: frozenset[str]) -> Route:
    """`none` is OpenSSH's word for nothing in between; `a,b` means a first, and b through it.

    passed: the hosts that this way is for already. `Host *` with a ProxyJump speaks of the jump host, too.
    """
    if "none" in (command, jump) or not (command or jump):
        return Route((hop,))
    if not jump:
        return Route((hop,), str(command))
    first, *others = [_named(word.strip(), access) for word in jump.split(",")]
    passed |= {hop.host}
    if first.host in passed:
        return Route((hop,))
    way = _configured(first, access, passed)
    return Route((*way.hops, *others, hop), way.proxy_command)


def _named(word: str, access: Access) -> Hop:
    """A jump host as ProxyJump writes it: [user@]host[:port]."""
    if not (found := _JUMP.fullmatch(word)):
        raise UnreachableError(f"{word!r} is no jump host", "write it as user@host:port")
    user, bracketed, plain, port = found.groups()
    return _hop(bracketed or plain, user or None, int(port) if port else None, (), access)


def _hop(name: str, user: str | None, port: int | None, key_files: tuple[str, ...], access: Access) -> Hop:
    settings = access.ssh_config.lookup(name)
    given = access.login.get("key_filename") or []
    files = [*([given] if isinstance(given, str) else given), *key_files, *settings.get("identityfile", [])]
    return Hop(
        host=settings.get("hostname", name),
        port=port or int(settings.get("port", access.port)),
        user=user or settings.get("user", access.user),
        key_files=tuple(dict.fromkeys(str(Path(file).expanduser()) for file in files)),
        settings=settings,
    )
