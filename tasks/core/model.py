"""The records that travel between modules: who the hosts are, and what was found and done on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Secret(str):
    """A password or passphrase. Its text is never shown by repr, str.format of a record, or a traceback's locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "[secret]"


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


class Status(StrEnum):
    """What became of a node, the worst last."""

    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    DRIFT = "drift"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


class ItemStatus(StrEnum):
    """What is true of one module, key, file or check on a node. Advisory is worth knowing, and wrong for nobody."""

    OK = "ok"
    CHANGED = "changed"
    ADVISORY = "advisory"
    DRIFT = "drift"
    BOOT_DRIFT = "boot-drift"
    MISSING = "missing"
    KEPT_BY_KERNEL = "kept-by-kernel"
    HOST_MANAGED = "host-managed"
    SKIPPED = "skipped"


class Kind(StrEnum):
    """What an item is."""

    FILE = "file"
    MODULE = "module"
    SYSCTL = "sysctl"
    CHECK = "check"


class Item(NamedTuple):
    """One module, key, file or check of one node: what was wanted, what was found, and what to do about it.

    expected and got are texts as a person would write them; got None means absent. why and next_step are empty
    where there is nothing to explain. decided_by: what has the last word at the next boot, `PATH:LINE`; empty if
    nothing has, or if it is not known.
    """

    kind: Kind
    name: str
    status: ItemStatus
    expected: str
    got: str | None
    why: str = ""
    next_step: str = ""
    decided_by: str = ""

    @property
    def found(self) -> str:
        """What was found, in words: also what is not there, or holds nothing."""
        return "absent" if self.got is None else self.got or "empty"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the nodes of a cluster must not share, and what they have to agree on. Empty texts: the node has none.

    hidden: only root may read the product_uuid. clock: the node's seconds since 1970 less our monotonic ones, which
    lie between these two. ignored: names of checks, see preflight.
    """

    hostname: str
    machine_id: str
    product_uuid: str
    hidden: bool
    clock: tuple[float, float] | None
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One host's outcome. problem and next_step are set when the node failed as a whole; seconds is wall time.

    same_as: the host of this run that is the same node and was worked on in its place; empty if there is none.
    identity is for the checks between nodes (core/between.py), and in no report.
    """

    host: str
    status: Status
    items: Sequence[Item] = ()
    problem: str = ""
    next_step: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    same_as: str = ""
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A whole run: the verb, one result for each selected host in the order of selection, and its wall time."""

    verb: str
    results: tuple[NodeResult, ...]
    seconds: float
    interrupted: bool = False
