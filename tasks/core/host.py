"""A host of the fleet and the options of its connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tasks.core.redact import Secret


class HostKeys(StrEnum):
    """A check of host keys. STRICT is the default; the others count only where the admin sets them."""

    STRICT = "strict"
    ACCEPT_NEW = "accept-new"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class SshOptions:
    """The inventory's settings of a connection but address, port and user; None and () leave them to ssh_config.

    proxy_jump: `user@host:port`, comma separated for several hops. proxy_command: ssh_config's ProxyCommand, %h %p %r
    still unexpanded. not_honoured: settings without an effect here, each a short text.
    """

    key_files: tuple[str, ...] = ()
    known_hosts: tuple[str, ...] = ()
    host_keys: HostKeys | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    connect_timeout: float | None = None
    password: Secret | None = None
    not_honoured: tuple[str, ...] = ()
    global_known_hosts: tuple[str, ...] = ()
    revoked_host_keys: str = ""


@dataclass(frozen=True, slots=True)
class Become:
    """Settings for becoming root on a host. wanted: None means only if the login user is not root already."""

    wanted: bool | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """One node as the inventory or -H names it.

    address: a name, an IPv4 or a bare IPv6 address. port and user: None leaves them to ssh_config and its defaults.
    groups: every group it is in, parents too, sorted, without `all`. variables: the inventory's, resolved by Ansible's
    precedence. typed: the text by which -H selects it again, with the user and port that were typed; empty if that is
    its name.
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
