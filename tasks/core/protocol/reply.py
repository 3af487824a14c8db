"""Parse a reply of the node scripts into facts. Nothing in it is trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tasks.core.errors import RemoteError
from tasks.core.facts import SYSCTL_ROOT, Facts, FileFact, UnitState
from tasks.core.kernel import key_name, normalize_module, providing_module
from tasks.core.memo import memoized

# Sections that only verify asks for: tasks/node/scripts/kubeadm.sh.
MORE = ("clock", "options", "listeners")
MAX_LINE = 64 * 1024  # characters; the longest of a usual node is a list of ports or the kernel's command line
MAX_LINES = 100_000  # a usual node's reply has some hundreds
MAX_FILE_LINES = 10_000  # of its configuration and values: whole distributions ship fewer than a thousand
MAX_DEPENDENCIES = 1000  # of one module; a usual one has fewer than twenty
_NUMBER = re.compile("[0-9]{1,18}")
_NUMBERED = re.compile("(/.*?):([0-9]{1,9}):(.*)")
_UNITS = {"p": UnitState.PRESENT, "m": UnitState.MASKED, "o": UnitState.ALTERED}


def parse_reply(reply: str, known: Facts | None = None) -> Facts:
    """Parse the text between the reply's marks; a section begins with a line `== name`.

    known: an earlier probe by the same user. User, module index and, unless some were just loaded, the loaded modules
    are taken from it, because a repeat probe does not report them. Raises RemoteError without `known` if the reply
    names no user.
    """
    _check_size(reply)
    sections = _sections(reply.replace("\0", "\ufffd"))  # no line of a request to come may hold a NUL
    said: dict[str, list[str]] = {}
    for line in sections.get("", []):
        said.setdefault(line[:1], []).append(line[1:])
    found = _found(sections.get("found", []))
    if known is None and not _NUMBER.fullmatch(found.uid):
        raise RemoteError(f"the node's reply makes no sense: {reply[:200]!r}", "look at what its login shell prints")
    if len(found.files) > MAX_FILE_LINES:
        raise _too_large(f"its files have more than {MAX_FILE_LINES} lines", found.files[MAX_FILE_LINES])
    lines = _contents(found.files)
    loaded, indexes = frozenset(found.loaded), tuple(found.indexes)
    facts = Facts(
        values={path: _first(lines.get(path)) for path in said.get("r", [])} | dict.fromkeys(said.get("a", [])),
        numbered=lines,
        extra_sections={name: sections[name] for name in MORE if name in sections},
        present=frozenset(said.get("x", [])),
        modules_implied_by_keys=_shown([*said.get("r", []), *said.get("x", [])]),
        loaded=loaded,
        sysfs_modules=frozenset(said.get("y", [])) - loaded,
        module_index=_tree(indexes),
        has_module_index="t" in said,
        dependencies=_needs(indexes),
        other_kernels=tuple(path.rpartition("/")[2] for path in said.get("k", [])),
        units={path: state for letter, state in _UNITS.items() for path in said.get(letter, [])},
        uid=known.uid if known else int(found.uid),
        memory_mb=_memory_mb(found.memory),
        files=_files(found.listing, lines),
        complaints=_complaints(said.get("e", [])),
        confirmed=frozenset(said.get("h", [])),
        snapshot_lines=tuple(said.get("s", [])),
    )
    return _completed(facts, known, said.get("l")) if known else facts


def _completed(facts: Facts, known: Facts, loaded: Sequence[str] | None) -> Facts:
    """Complete the facts of a repeat probe. loaded: lines of names of loaded modules, if the reply has any."""
    now = frozenset(loaded[-1].split()) if loaded else known.loaded
    return replace(
        facts,
        loaded=now,
        sysfs_modules=facts.sysfs_modules - now,
        module_index=known.module_index,
        has_module_index=known.has_module_index,
        dependencies=known.dependencies,
        other_kernels=known.other_kernels,
        memory_mb=known.memory_mb,
    )


def _shown(paths: Iterable[str]) -> frozenset[str]:
    """Return the modules that provide the keys which exist."""
    return frozenset(filter(None, map(_owner_of_file, paths)))


@memoized(maxsize=1024)  # nodes report the same keys
def _owner_of_file(path: str) -> str | None:
    return providing_module(key_name(path.removeprefix(SYSCTL_ROOT)))


def _check_size(reply: str) -> None:
    """Raise RemoteError for a reply of too many lines or with too long a line: a node controls both."""
    if reply.count("\n") > MAX_LINES:
        raise _too_large(f"its reply has more than {MAX_LINES} lines", reply)
    longest = max(reply.split("\n"), key=len)
    if len(longest) > MAX_LINE:
        raise _too_large(f"its reply has a line of more than {MAX_LINE} characters", longest)


def _too_large(problem: str, text: str) -> RemoteError:
    return RemoteError(problem, f"look at it on the node: {text[:80]!r} …")


def _sections(reply: str) -> dict[str, list[str]]:
    first, *named = f"\n{reply}".split("\n== ")
    sections = {"": list(filter(None, first.split("\n")))}
    for section in named:
        name, *lines = section.split("\n")
        sections.setdefault(name, []).extend(filter(None, lines))
    return sections


class _Found(NamedTuple):
    """The section `found`: user id, line of the memory, loaded modules, lines of module index, ls and files."""

    uid: str
    memory: str
    loaded: list[str]
    indexes: list[str]
    listing: list[str]
    files: list[str]


def _found(lines: Iterable[str]) -> _Found:
    """Sort the lines by their source: `/proc/self/status:Uid:\t0\t…`, `/proc/meminfo:MemTotal: …`,
    `/proc/modules:ip_vs `, `/lib/modules/6.1/…`, `-rw-r--r-- …`, `/etc/x:1:…`."""
    uid, memory, loaded, indexes, listing, files = "", "", [], [], [], []
    for line in lines:
        if not line.startswith("/"):
            listing.append(line)
        elif line.startswith("/lib/modules/"):
            indexes.append(line)
        elif line.startswith("/proc/modules:"):
            loaded.append(line.partition(":")[2].strip())
        elif line.startswith("/proc/self/status:"):
            uid = line.split("\t")[1] if "\t" in line else ""
        elif line.startswith("/proc/meminfo:"):
            memory = memory or line
        else:
            files.append(line)
    return _Found(uid, memory, loaded, indexes, listing, files)


def _tree(lines: tuple[str, ...]) -> Mapping[str, bool]:
    """Map normal names of modules to whether they are built in.

    A line: `…/modules.builtin:kernel/fs/overlayfs/overlay.ko`, or one of `…/modules.dep`.
    """
    tree: dict[str, bool] = {}
    for line in lines:
        source, _, path = line.partition(":")
        name = _module_name(path.partition(":")[0])
        tree[name] = tree.get(name, False) or source.endswith("/modules.builtin")
    return tree


def _needs(lines: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """Map modules to their dependencies.

    `…/modules.dep:kernel/a/ip_vs_rr.ko: kernel/a/ip_vs.ko` -> {ip_vs_rr: {ip_vs}}. The indirect ones are listed too.
    """
    parts = [line.partition(":")[2].partition(":") for line in lines]
    needs = {
        _module_name(module): frozenset(map(_module_name, needed.split())) for module, colon, needed in parts if colon
    }
    if wrong := next((name for name, needed in needs.items() if len(needed) > MAX_DEPENDENCIES), None):
        raise _too_large(f"a module of its kernel needs more than {MAX_DEPENDENCIES} others", wrong)
    return needs


def _module_name(path: str) -> str:
    """Return the normal name: `kernel/net/bridge/br_netfilter.ko.xz` -> br_netfilter."""
    return normalize_module(path.rsplit("/", 1)[-1].split(".ko", maxsplit=1)[0])


def _contents(entries: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """Parse lines of grep, `PATH:NUMBER:TEXT`, into numbered lines by path."""
    lines: dict[str, list[tuple[int, str]]] = {}
    for entry in entries:
        if found := _numbered(entry):
            lines.setdefault(found[0], []).append(found[1])
    return lines


@memoized(maxsize=1024)  # nodes have most of their lines in common
def _numbered(entry: str) -> tuple[str, tuple[int, str]] | None:
    match = _NUMBERED.fullmatch(entry)
    return (match[1], (int(match[2]), match[3])) if match else None


def _first(lines: Sequence[tuple[int, str]] | None) -> str:
    """Return the value of a key: the first line of its file, or an empty text if that line is blank."""
    return lines[0][1] if lines and lines[0][0] == 1 else ""


def _files(listing: Iterable[str], lines: Mapping[str, list[tuple[int, str]]]) -> dict[str, FileFact]:
    files = [_listed(entry, lines) for entry in listing]
    return {fact.path: fact for fact in files if fact}


def _listed(entry: str, lines: Mapping[str, list[tuple[int, str]]]) -> FileFact | None:
    """Parse a line of `ls -ldn`: mode, links, uid, gid, size, three words of time, path, and the target of a link."""
    words = entry.split(None, 8)
    if len(words) < 9 or len(words[0]) < 10 or not (_NUMBER.fullmatch(words[2]) and _NUMBER.fullmatch(words[4])):
        return None
    path, _, link = words[8].partition(" -> ")
    size, text = int(words[4]), tuple(lines.get(path, ()))
    return FileFact(path, entry[0], _mode(words[0][:10]), int(words[2]), size, link or None, text)


def _mode(text: str) -> int:
    """Parse a mode: `-rw-r--r--` -> 0o644. Set-id and sticky bits are dropped."""
    return int("".join("0" if letter in "-ST" else "1" for letter in text[1:10]), 2)


def _complaints(entries: Iterable[str]) -> dict[tuple[str, str], str]:
    """Parse complaints: `load ip_vs 1 modprobe: FATAL: …` -> {(load, ip_vs): text}."""
    found = {}
    for entry in entries:
        words = entry.split(" ", 3)
        if len(words) >= 3:
            found[words[0], words[1]] = "".join(words[3:]) or f"status {words[2]}"
    return found


def _memory_mb(line: str) -> int:
    match = re.search("([0-9]{1,18}) kB", line)
    return int(match[1]) // 1024 if match else 0
