"""Resolve the marks of a profile against one node: to plain native files, modules and settings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tasks.core.facts import Facts, ModuleState
from tasks.core.kernel import at_least, providing_module, raise_to, same_module
from tasks.core.memo import memoized
from tasks.core.ownfiles import MODULES_PATH, SYSCTL_PATH, RenderedFile, assignments, with_header
from tasks.core.profile.entries import Line, ModuleEntry, SysctlEntry
from tasks.core.profile.profile import RenderedProfile

SET_FIRST = "net.ipv4.ip_forward"  # changing it resets other settings of the network: ip-sysctl.rst


class Setting(NamedTuple):
    """One key's value on this node. minimum: None where the value is exact, else any value from it upwards will do."""

    key: str
    value: str
    minimum: str | None


class Desired(NamedTuple):
    """One node's desired state.

    modules: by the names that this kernel has. skipped_modules, skipped_keys: optional ones that it does not have.
    missing_modules: required ones that it does not have.
    """

    files: tuple[RenderedFile, ...]
    modules: tuple[str, ...]
    settings: tuple[Setting, ...]
    skipped_modules: tuple[str, ...]
    skipped_keys: tuple[str, ...]
    missing_modules: tuple[str, ...]


class _NodeInputs(NamedTuple):
    """The part of a node's facts that a desired state depends on.

    chosen: for each module's entry the name that this kernel has, if any. written: the lines of each profile's own
    file of keys. values: the values of the keys with a minimum. skipped: the optional keys that it does not have.
    """

    kernel: str
    chosen: tuple[tuple[ModuleEntry, str | None], ...]
    written: tuple[tuple[str, ...], ...]
    values: tuple[tuple[str, str | None], ...]
    skipped: tuple[str, ...]


def resolve(rendered: Sequence[RenderedProfile], facts: Facts) -> Desired:
    """Return the desired state of the node with these facts."""
    keys = _merged(tuple(rendered))
    chosen = tuple((entry, choose_module(entry, facts)) for each in rendered for entry in each.module_entries())
    names = [name for _, name in chosen if name]
    node = _NodeInputs(
        facts.kernel,
        chosen,
        written=tuple(facts.lines(SYSCTL_PATH.format(each.profile)) for each in rendered),
        values=tuple((key, facts.key(key)) for key, entry in keys.items() if entry.minimum),
        skipped=tuple(key for key, entry in keys.items() if entry.optional and not _will_exist(key, facts, names)),
    )
    return _resolved(tuple(rendered), node)


@memoized(maxsize=64)  # mostly nodes answer alike, and each is asked two or three times
def _resolved(rendered: tuple[RenderedProfile, ...], node: _NodeInputs) -> Desired:
    keys, chosen, values = _merged(rendered), dict(node.chosen), dict(node.values)
    absent = [entry for entry, name in chosen.items() if name is None]
    files: list[RenderedFile] = []
    settings: dict[str, Setting] = {}
    for each, written in zip(rendered, node.written, strict=True):
        if each.modules is not None:
            lines = [_module_line(line, chosen, node.kernel) for line in each.modules]
            files.append(with_header(MODULES_PATH.format(each.profile), each.profile, lines))
        if each.sysctl is not None:
            names = [entry.key for entry in each.sysctl_entries() if entry.key not in node.skipped]
            in_file = assignments(written)
            own = {name: _setting(keys[name], in_file.get(name), values.get(name)) for name in names}
            lines = [_key_line(line, own) for line in _forwarding_first(each.sysctl)]
            files.append(with_header(SYSCTL_PATH.format(each.profile), each.profile, lines))
            settings |= own
    return Desired(
        files=tuple(files),
        modules=_unique(filter(None, chosen.values())),
        settings=tuple(settings.values()),
        skipped_modules=_unique(entry.candidates[0] for entry in absent if entry.optional),
        skipped_keys=node.skipped,
        missing_modules=_unique(entry.candidates[0] for entry in absent if not entry.optional),
    )


def choose_module(entry: ModuleEntry, facts: Facts) -> str | None:
    """Return the first of an entry's candidates that this kernel has, or None."""
    return next((name for name in entry.candidates if facts.module(name) is not ModuleState.MISSING), None)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


@memoized(maxsize=64)  # nodes that are rendered alike share it
def _merged(rendered: tuple[RenderedProfile, ...]) -> Mapping[str, SysctlEntry]:
    """Return one entry for each key. Profiles that share a key agree (profile.check_together).

    An exact value replaces a minimum, and the larger minimum counts. A key is optional only if no profile requires it.
    """
    merged: dict[str, SysctlEntry] = {}
    for entry in (entry for each in rendered for entry in each.sysctl_entries()):
        known = merged.get(entry.key, entry)
        stronger = entry if known.minimum and not entry.minimum else known
        if known.minimum and entry.minimum:
            stronger = known._replace(value=raise_to(entry.key, known.value, entry.value))
        optional = known.optional and entry.optional
        merged[entry.key] = stronger if stronger.optional == optional else stronger._replace(optional=optional)
    return merged


def _will_exist(key: str, facts: Facts, modules: Collection[str]) -> bool:
    """Return whether the kernel has the key now, or will have it once its module is loaded."""
    return facts.has_key(key) or module_bringing(key, facts, modules) is not None


def module_bringing(key: str, facts: Facts, modules: Collection[str]) -> str | None:
    """Return the module that will be loaded and provides the key, None if none of these modules does."""
    owner = providing_module(key)
    if owner is None or facts.module(owner) is not ModuleState.LOADABLE:
        return None
    return owner if any(same_module(owner, name) for name in modules) else None


def _setting(entry: SysctlEntry, written: str | None, got: str | None) -> Setting:
    """Return a key's setting. A minimum becomes a number, for a boot writes a number and does not compare.

    The number in our own file stays while it is high enough: kernels round some values up (577680 buckets read back
    as 578048), and following them would rewrite the file after each apply.
    """
    if not entry.minimum:
        return Setting(entry.key, entry.value, None)
    if written is not None and at_least(entry.key, written, entry.value):
        return Setting(entry.key, written, entry.value)
    return Setting(entry.key, raise_to(entry.key, got or entry.value, entry.value), entry.value)


def _forwarding_first(lines: Sequence[Line]) -> Sequence[Line]:
    """Return the file's lines with ip_forward before any other key."""
    first = next((n for n, line in enumerate(lines) if isinstance(line, SysctlEntry)), 0)
    for number, line in enumerate(lines):
        if isinstance(line, SysctlEntry) and line.key == SET_FIRST and number != first:
            return [*lines[:first], line, *lines[first:number], *lines[number + 1 :]]
    return lines


def _module_line(line: Line, chosen: Mapping[ModuleEntry, str | None], kernel: str) -> str:
    if not isinstance(line, ModuleEntry):
        return str(line)
    return chosen[line] or f"# {' | '.join(line.candidates)}: not in this node's kernel {kernel}"


def _key_line(line: Line, settings: Mapping[str, Setting]) -> str:
    if not isinstance(line, SysctlEntry):
        return str(line)
    setting = settings.get(line.key)
    return f"{line.key} = {setting.value}" if setting else f"# {line.key}: this node's kernel does not have it"
