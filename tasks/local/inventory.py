"""Load the inventory with its variable files, and select hosts from it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tasks.core import folding
from tasks.core.errors import InventoryError, SourceError, UsageError
from tasks.core.host import Host
from tasks.core.interning import Interner
from tasks.core.inventory import ini, selection
from tasks.core.inventory.formats import InventoryFormat, detect_format
from tasks.core.inventory.inventory import Inventory
from tasks.core.run import retry as retry_report
from tasks.local.files import display_path, read_text

# A grammar takes the text and the path as the admin knows it; it feeds core/inventory/groups.py.
GRAMMARS: Mapping[InventoryFormat, Callable[[str, str], Inventory]] = {InventoryFormat.INI: ini.parse_ini}


def load_inventory(path: Path) -> Inventory:
    """Return an inventory with the group_vars/ and host_vars/ beside it. Raise InventoryError."""
    inventory = _parse(read_text(path, InventoryError), display_path(path))
    folders = [path.parent / name for name in ("group_vars", "host_vars")]
    if not any(folder.is_dir() for folder in folders):
        return inventory
    from tasks.local.variable_files import read_variables  # noqa: PLC0415 # few inventories need YAML

    return inventory.with_variables(
        read_variables(folders[0], inventory.groups), read_variables(folders[1], inventory.hosts)
    )


def _parse(text: str, source: str) -> Inventory:
    """Parse an inventory by the grammar of its format. Raise InventoryError for a format without a grammar."""
    found, line = detect_format(text, source)
    if found not in GRAMMARS:
        raise InventoryError(source, line, f"expected an INI inventory ([group] sections of hosts), got {found}")
    return GRAMMARS[found](text, source)


def select_from(
    inventory: Inventory, patterns: str, aliases: Collection[str], base: Path, retry: str = ""
) -> tuple[Host, ...]:
    """Return the hosts of -H, with the paths of keys and known_hosts made absolute from the inventory's folder.

    retry: the report of an earlier run; only its unfinished nodes are returned, and of these only those of -H, if it is
    given. Raise UsageError.
    """
    unfinished = retry_report.unfinished_hosts(read_text(Path(retry), SourceError), retry) if retry else ()
    if unfinished and not patterns:
        chosen = _named_hosts(inventory, unfinished, retry)
    else:
        chosen = selection.select_hosts(inventory, patterns, reachable_name=_name_resolver(aliases))
    if unfinished and not (chosen := tuple(host for host in chosen if host.name in set(unfinished))):
        raise UsageError(f"-H {patterns} selects none of the {len(unfinished)} nodes that {retry} leaves to do")
    pool = Interner()
    of_groups: dict[tuple[str, ...], Mapping[str, object]] = {}

    def variables(host: Host) -> Mapping[str, object]:
        own = inventory.has_own_variables(host.name)
        return host.variables if own else of_groups.setdefault(host.groups, host.variables)

    return tuple(_with_absolute_paths(replace(host, variables=variables(host)), base, pool) for host in chosen)


def _named_hosts(inventory: Inventory, names: Sequence[str], source: str) -> tuple[Host, ...]:
    """Return the inventory's hosts of these names. Raise SourceError for an unknown name."""
    if unknown := [name for name in names if name not in inventory.hosts]:
        problem = f"not in {inventory.source}: {folding.fold(unknown)}; name the nodes to do again with -H"
        raise SourceError(source, 0, problem)
    return tuple(inventory.host(name) for name in names)


def _name_resolver(aliases: Collection[str]) -> Callable[[str], bool]:
    """Return a function that is True for ssh_config's aliases and for names that the resolver knows."""

    def can_resolve(name: str) -> bool:
        if name in aliases:
            return True
        try:
            return bool(socket.getaddrinfo(name, None))
        except (OSError, UnicodeError):
            return False

    return can_resolve


def _with_absolute_paths(host: Host, base: Path, pool: Interner) -> Host:
    """Return a host with absolute paths; settings that are equal on several hosts are kept once."""
    options = replace(
        host.ssh,
        key_files=tuple(_absolute_paths(host.ssh.key_files, base)),
        known_hosts=tuple(_absolute_paths(host.ssh.known_hosts, base)),
        global_known_hosts=tuple(_absolute_paths(host.ssh.global_known_hosts, base)),
        revoked_host_keys="".join(_absolute_paths(filter(None, [host.ssh.revoked_host_keys]), base)),
    )
    return replace(host, groups=pool.intern(host.groups), ssh=pool.intern(options), become=pool.intern(host.become))


def _absolute_paths(files: Iterable[str], base: Path) -> list[str]:
    """Return paths relative to the inventory: OpenSSH's working directory differs from one admin to the next."""
    return [file if file.lower() == "none" else str(base / Path(file).expanduser()) for file in files]
