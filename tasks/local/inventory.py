"""What lies on the admin's disk: the inventory with its variable files, and the profiles."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.core import folding
from tasks.core.errors import InventoryError, SourceError, UsageError
from tasks.core.host import Host
from tasks.core.interning import Interner
from tasks.core.inventory import ini, selection
from tasks.core.inventory.formats import InventoryFormat, detect_format
from tasks.core.inventory.inventory import Inventory
from tasks.core.run import retry as retry_report
from tasks.local.files import display_path, read_text

ENDINGS = ("", ".yml", ".yaml", ".json")
VAULTED = object()  # stands for an encrypted value, which counts as not given

# A grammar takes the text and the path as the admin knows it; it feeds core/inventory/groups.py.
GRAMMARS: Mapping[InventoryFormat, Callable[[str, str], Inventory]] = {InventoryFormat.INI: ini.parse_ini}


def load_inventory(path: Path) -> Inventory:
    """An INI inventory and the group_vars/ and host_vars/ beside it. Raises InventoryError or UsageError."""
    inventory = _parse(read_text(path, InventoryError), display_path(path))
    folders = [path.parent / name for name in ("group_vars", "host_vars")]
    if not any(folder.is_dir() for folder in folders):
        return inventory
    groups, hosts = _variables(folders[0], inventory.groups), _variables(folders[1], inventory.hosts)
    return inventory.with_variables(groups, hosts)


def _parse(text: str, source: str) -> Inventory:
    """Parse an inventory by the grammar of its format. Raise InventoryError for a format without a grammar."""
    found, line = detect_format(text, source)
    if found not in GRAMMARS:
        raise InventoryError(source, line, f"expected an INI inventory ([group] sections of hosts), got {found}")
    return GRAMMARS[found](text, source)


def _variables(folder: Path, names: Iterable[str]) -> dict[str, dict[str, object]]:
    """For each name NAME, NAME.yml, NAME.yaml, NAME.json, and what is in a folder NAME, as far as it is there."""
    found: dict[str, dict[str, object]] = {}
    for name in names if folder.is_dir() else ():
        for file in (file for ending in ENDINGS for file in _below(folder / f"{name}{ending}")):
            found.setdefault(name, {}).update(_yaml(file))
    return found


def _below(path: Path) -> list[Path]:
    """The file itself, or the variable files of a folder; nothing where there is neither."""
    if not path.is_dir():
        return [path] if path.is_file() else []
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    return [file for file in files if file.suffix in ENDINGS and not file.name.startswith(".")]


def _yaml(path: Path) -> dict[str, object]:
    import yaml  # noqa: PLC0415 # only inventories with variable files need it

    text = read_text(path, InventoryError)
    if text.startswith("$ANSIBLE_VAULT"):
        return {}
    try:
        data = yaml.load(text, Loader=_tolerant_loader(yaml))  # noqa: S506 # a SafeLoader, see there
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InventoryError(display_path(path), mark.line + 1 if mark else 0, f"not YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InventoryError(display_path(path), 1, f"expected `name: value` lines, got a {type(data).__name__}")
    return {str(name): value for name, value in data.items() if value is not VAULTED}


def _tolerant_loader(yaml: Any) -> Any:
    """yaml's safe loader that knows Ansible's own tags: !unsafe is text, !vault a value that we cannot read."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: VAULTED if suffix == "vault" else str(node.value))
    return Loader


def select_from(inventory: Inventory, patterns: str, config: Any, base: Path, retry: str = "") -> tuple[Host, ...]:
    """The hosts of -H, with paths of keys and known_hosts made absolute from the inventory's folder.

    retry: the report of an earlier run; only what that left undone, and of that only what -H names if it is given.
    """
    again = retry_report.unfinished_hosts(read_text(Path(retry), SourceError), retry) if retry else ()
    if again and not patterns:
        chosen = _known(inventory, again, retry)
    else:
        chosen = selection.select_hosts(inventory, patterns, reachable_name=_resolver(config))
    if again and not (chosen := tuple(host for host in chosen if host.name in set(again))):
        raise UsageError(f"-H {patterns} selects none of the {len(again)} nodes that {retry} leaves to do")
    pool = Interner()
    of_groups: dict[tuple[str, ...], Mapping[str, object]] = {}

    def variables(host: Host) -> Mapping[str, object]:
        own = inventory.says_something_of(host.name)
        return host.variables if own else of_groups.setdefault(host.groups, host.variables)

    return tuple(_absolute(replace(host, variables=variables(host)), base, pool) for host in chosen)


def _known(inventory: Inventory, names: Sequence[str], source: str) -> tuple[Host, ...]:
    """The inventory's hosts of these names. Raises SourceError for one that it does not have."""
    if lost := [name for name in names if name not in inventory.hosts]:
        problem = f"not in {inventory.source}: {folding.fold(lost)}; say with -H which nodes to do again"
        raise SourceError(source, 0, problem)
    return tuple(inventory.host(name) for name in names)


def _resolver(config: Any) -> Callable[[str], bool]:
    aliases = set(config.base_ssh_config.get_hostnames())

    def findable(name: str) -> bool:
        if name in aliases:
            return True
        try:
            return bool(socket.getaddrinfo(name, None))
        except (OSError, UnicodeError):
            return False

    return findable


def _absolute(host: Host, base: Path, pool: Interner) -> Host:
    """A host with absolute paths; what all hosts of a group say alike is kept once."""
    options = replace(
        host.ssh,
        key_files=tuple(_paths(host.ssh.key_files, base)),
        known_hosts=tuple(_paths(host.ssh.known_hosts, base)),
    )
    return replace(host, groups=pool.intern(host.groups), ssh=pool.intern(options), become=pool.intern(host.become))


def _paths(files: Iterable[str], base: Path) -> list[str]:
    """ssh would take a relative path from where the admin is; beside the inventory is where it works for everyone."""
    return [str(base / Path(file).expanduser()) for file in files]
