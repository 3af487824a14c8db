"""A host of the fleet, and how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tasks.core.redact import Secret


class HostKeys(StrEnum):
    """How host keys are checked. STRICT is the default; the others only by the admin's own word."""

    STRICT = "strict"
    ACCEPT_NEW = "accept-new"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class SshOptions:
    """How a host is reached, beyond its address, as the inventory says it; None and () leave it to ssh_config.

    proxy_jump: `user@host:port`, comma separated for several hops. proxy_command: ssh_config's ProxyCommand, %h %p %r
    still unexpanded. not_honoured: settings that were asked for and have no effect here, each a short text.
    """

    key_files: tuple[str, ...] = ()
    known_hosts: tuple[str, ...] = ()
    host_keys: HostKeys | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    connect_timeout: float | None = None
    password: Secret | None = None
    not_honoured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Become:
    """How root is reached on a host. wanted: None means only if the login user is not root already."""

    wanted: bool | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """One node as the inventory or -H names it.

    address: what is connected to (a name, an IPv4 or a bare IPv6 address). port and user: None leaves them to
    ssh_config and its defaults. groups: every group it is in, parents too, sorted, without `all`.
    variables: the inventory's, resolved by Ansible's precedence. typed: what -H reaches it by again, with the user and
    port that were given by hand; empty if that is its name.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    groups: tuple[str, ...] = ()
    variables: Mapping[str, object] = field(default_factory=dict)
    ssh: SshOptions = field(default_factory=SshOptions)
    become: Become = field(default_factory=Become)
    typed: str = ""
