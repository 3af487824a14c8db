"""The route to a node and the login on each hop: from the inventory first, then ssh_config, then fabric's defaults."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tasks.core.errors import UnreachableError
from tasks.core.host import Host, HostKeys
from tasks.core.inventory.names import name_problem
from tasks.ssh.config import SshConfig

CONNECT_SECONDS = 10.0

_JUMP = re.compile(
    r"(?:(.*)@)?(?:\[([^]]+)\]|([^:]+|.*:.*:.*))(?::([0-9]+))?"
)  # an IPv6 address has a port in brackets


class Access(NamedTuple):
    """Settings of a run that connecting needs besides the host: fabric's, and --host-keys.

    They are read once, before the fan-out: fabric's configuration is not safe between threads, and a copy for each host
    cost more CPU than its key exchange. login: arguments of paramiko's SSHClient.connect, such as password and
    key_filename. proxy_command: used if neither the inventory nor ssh_config has one. seconds: the connect timeout.
    """

    ssh_config: SshConfig
    user: str
    port: int
    login: Mapping[str, Any]
    proxy_command: str
    seconds: float
    host_keys: HostKeys | None

    @classmethod
    def of(cls, config: Any, host_keys: HostKeys | None, ssh_config: SshConfig | None = None) -> Access:
        """Return the settings of fabric's configuration, which `fab` filled from ssh_config, -i and its prompts.

        ssh_config: None for fabric's own reading of it.
        """
        login = dict(config.connect_kwargs)
        seconds = login.pop("timeout", None) or config.timeouts.connect or CONNECT_SECONDS
        return cls(
            ssh_config or SshConfig(config.base_ssh_config),
            str(config.user),
            int(config.port),
            login,
            str(config.gateway or ""),
            float(seconds),
            host_keys,
        )


class Hop(NamedTuple):
    """One SSH server of a route. name: as it was given, before ssh_config's HostName.

    key_files: in the order to try. settings: ssh_config's for this server.
    """

    name: str
    host: str
    port: int
    user: str
    key_files: tuple[str, ...]
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


class Route(NamedTuple):
    """The SSH servers to connect through, the node last. proxy_command: how the first is reached, "" for TCP."""

    hops: tuple[Hop, ...]
    proxy_command: str = ""


def find_route(host: Host, access: Access) -> Route:
    """Return the route to a node. Raise UnreachableError if a jump host is not written as user@host:port."""
    node = _hop(host.address, host.user, host.port, host.ssh.key_files, access)
    command, jump = host.ssh.proxy_command, host.ssh.proxy_jump
    if command is None and jump is None:
        return _configured(node, access, frozenset())
    return _through(node, command, jump, access, frozenset())


def _configured(hop: Hop, access: Access, visited: frozenset[str]) -> Route:
    """Return the route that ssh_config or fabric's configuration gives."""
    jump, command = hop.settings.get("proxyjump"), hop.settings.get("proxycommand")
    if not (jump or command):
        command = access.proxy_command
    return _through(hop, None if jump else command, jump, access, visited)


def _through(hop: Hop, command: str | None, jump: str | None, access: Access, visited: frozenset[str]) -> Route:
    """Return the route to a hop through a ProxyCommand or ProxyJump. `none` means neither; `a,b` means a, then b.

    visited: the hosts this route already leads to. A ProxyJump of `Host *` applies to the jump host as well.
    """
    if "none" in (command, jump) or not (command or jump):
        return Route((hop,))
    if not jump:
        return Route((hop,), str(command))
    first, *others = [_jump_host(word.strip(), access) for word in jump.split(",")]
    visited |= {hop.host}
    if first.host in visited:
        return Route((hop,))
    start = _configured(first, access, visited)
    return Route((*start.hops, *others, hop), start.proxy_command)


def _jump_host(word: str, access: Access) -> Hop:
    """Parse one jump host of ProxyJump: [user@]host[:port]."""
    if not (found := _JUMP.fullmatch(word)):
        raise UnreachableError(f"{word!r} is not a jump host", "write it as user@host:port")
    user, bracketed, plain, port = found.groups()
    for part in filter(None, (user, bracketed or plain)):
        if problem := name_problem(part):  # both may become part of a ProxyCommand, which a shell runs
            raise UnreachableError(f"{word!r} is not a jump host: {problem}", "write it as user@host:port")
    return _hop(bracketed or plain, user or None, int(port) if port else None, (), access)


def _hop(name: str, user: str | None, port: int | None, key_files: tuple[str, ...], access: Access) -> Hop:
    settings = access.ssh_config.lookup(name, user or "")
    given = access.login.get("key_filename") or []
    files = [*([given] if isinstance(given, str) else given), *key_files]
    hop = Hop(
        name=name,
        host=settings.get("hostname", name),
        port=port or int(settings.get("port", access.port)),
        user=user or settings.get("user", access.user),
        key_files=(),
        settings=settings,
    )
    if problem := name_problem(hop.host):
        raise UnreachableError(f"HostName of {name} in ssh_config: {problem}", "correct it in ssh_config")
    own = configured_paths(hop, "identityfile") + configured_paths(hop, "certificatefile")
    return hop._replace(key_files=tuple(dict.fromkeys([*(str(Path(file).expanduser()) for file in files), *own])))


def configured_paths(hop: Hop, setting: str) -> list[str]:
    """Return the paths of a setting of ssh_config that exist, with their tokens and `~` expanded (ssh_config(5)).

    OpenSSH passes over those that do not exist. `none` names no file.
    """
    paths = [expand_path(path, hop) for path in hop.settings.get(setting, []) if path.lower() != "none"]
    return [path for path in paths if os.path.exists(path)]  # noqa: PTH110 # the text is what counts


def expand_path(path: str, hop: Hop) -> str:
    """Return a path with its tokens, `${VARIABLE}` and `~` expanded. Raise UnreachableError for an unknown token."""
    values = {
        "%": "%",
        "d": str(Path("~").expanduser()),
        "h": hop.host,
        "i": str(os.getuid()),
        "k": hop.settings.get("hostkeyalias", hop.name),
        "L": socket.gethostname().split(".")[0],
        "n": hop.name,
        "p": str(hop.port),
        "r": hop.user,
        "u": getpass.getuser(),
    }

    def fill(match: re.Match[str]) -> str:
        if match[2]:
            return os.environ.get(match[2], "")
        if match[1] == "l":  # asked for only where it is used: it may cost a question to the resolver
            return socket.getfqdn()
        if match[1] not in values:
            raise UnreachableError(f"{match[0]} in {path} of ssh_config is not supported here", "write the path out")
        return str(values[match[1]])

    return str(Path(re.sub(r"%(.)|\$\{([A-Za-z_0-9]+)\}", fill, path)).expanduser())
