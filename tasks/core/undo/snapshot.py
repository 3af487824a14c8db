"""Parse the snapshots of a node: tasks/node/scripts/snapshot.sh writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tasks.core.errors import RemoteError
from tasks.core.facts import SYSCTL_ROOT, Facts, Line
from tasks.core.kernel import MODULE, is_key, key_name
from tasks.core.ownfiles import is_our_file, is_our_folder
from tasks.core.protocol.lock import STORE, ChangeId

# A change of what a snapshot holds takes a new number, and a test that rolls the old one back. 1 was not written down.
FORMAT = 2


@dataclass(frozen=True, slots=True)
class PriorState:
    """The state of a node before a change.

    files: our files by path, each with the path of its copy, empty if the file was absent. folders: those that were
    absent. lines: lines of other owners that we commented out. keys: values by dotted name, to the letter.
    created_keys: keys that were absent and came with a module. modules: those that were not loaded. unloaded: those
    that were, and that we unloaded.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    created_keys: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The record of one change of a node.

    path: its folder there; login: the user who became root; items: kind and rest of each line; until: the last of the
    runs that were merged into this one, if any were; profiles: the names of those that it applied.
    """

    path: str
    change: ChangeId
    login: str
    items: tuple[tuple[str, str], ...] = ()
    until: str = ""
    profiles: tuple[str, ...] = ()

    @property
    def prior_state(self) -> PriorState:
        """Return the state before it."""
        return prior_state([self])


def parse_snapshots(facts: Facts) -> tuple[Snapshot, ...]:
    """Parse a node's snapshots, the oldest first. Raises RemoteError for anything that we do not write."""
    found: dict[str, list[str]] = {}
    for entry in facts.snapshot_lines:
        path, colon, text = entry.partition("/snapshot:")
        if not colon or not re.fullmatch(rf"{STORE}/[0-9]+\.[0-9A-Za-z-]+", path):
            raise _malformed(entry)
        found.setdefault(path, []).append(text)
    whole = {path: list(_complete_lines(lines)) for path, lines in sorted(found.items())}
    return tuple(_snapshot(path, lines) for path, lines in whole.items() if lines)


def _snapshot(path: str, lines: Iterable[str]) -> Snapshot:
    about: dict[str, str] = {}
    items: list[tuple[str, str]] = []
    profiles: list[str] = []
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in _ITEMS:
            if not _ITEMS[kind](rest):
                raise _malformed(f"{path}: {line}")
            items.append((kind, rest))
        elif kind in _ABOUT:
            about.setdefault(kind, rest)
            profiles += rest.split(" ")[:1] if kind == "profile" else []
        else:
            raise _too_new(path, f"it holds a line of a kind that is not known here: {kind!r}")
    number = about.get("format", "1")
    if not re.fullmatch("[0-9]{1,9}", number) or int(number) > FORMAT:
        raise _too_new(path, f"its format is {number!r}, and this version knows up to {FORMAT}")
    stamp = ChangeId(about.get("run", ""), about.get("by", ""), about.get("verb", ""))
    return Snapshot(path, stamp, about.get("as", ""), tuple(items), about.get("until", ""), tuple(profiles))


def _complete_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of complete pieces (`more` … `end`).

    A piece without `end` was cut off, and nothing it describes had been changed yet. Outside the pieces only known
    keywords count: a power cut may leave zero bytes.
    """
    added: list[str] | None = None
    for line in lines:
        if line == "more":
            added = []
        elif added is None:
            if line.partition(" ")[0] in (*_ITEMS, *_ABOUT):
                yield line
        elif line == "end":
            yield from added
            added = None
        else:
            added.append(line)


def _key(path: str) -> str:
    return key_name(path.removeprefix(SYSCTL_ROOT))


def _line(text: str) -> Line:
    path, number, content = text.split(" ", 2)
    return Line(path, int(number), content)


def _is_key_path(text: str) -> bool:
    path = text.partition(" ")[0]
    return path.startswith(SYSCTL_ROOT) and is_key(path.removeprefix(SYSCTL_ROOT))


_ABOUT = ("format", "run", "verb", "by", "as", "profile", "until")

# A snapshot is text of a node, so each line is checked before it becomes an instruction.
_ITEMS: Mapping[str, Callable[[str], bool]] = {
    "file": is_our_file,
    "absent": is_our_file,
    "folder": is_our_folder,
    "line": lambda text: bool(re.fullmatch(r"/[A-Za-z0-9_./@:+-]+ [0-9]{1,9} .*", text)),
    "key": _is_key_path,
    "nokey": _is_key_path,
    "module": lambda text: bool(MODULE.match(text)),
    "unloads": lambda text: bool(MODULE.match(text)),
}


def _too_new(path: str, why: str) -> RemoteError:
    problem = f"{path} was written by a newer nodeprep and is kept: {why}"
    return RemoteError(problem, "use the version that wrote it, or a newer one")


def _malformed(what: str) -> RemoteError:
    return RemoteError(f"a snapshot makes no sense: {what!r}", f"look into {STORE} on the node")


def prior_state(chosen: Iterable[Snapshot]) -> PriorState:
    """Return the state before the first of some snapshots, the oldest first.

    Of several entries about one thing the first counts, within a snapshot and across them.
    """
    files: dict[str, str] = {}
    folders: dict[str, None] = {}
    lines: dict[str, None] = {}
    keys: dict[str, str] = {}
    arrived: set[str] = set()
    loaded: dict[str, bool] = {}
    for folder, kind, rest in ((snapshot.path, *item) for snapshot in chosen for item in snapshot.items):
        match kind:
            case "file" | "absent":
                files.setdefault(rest, f"{folder}/{rest.rpartition('/')[2]}" if kind == "file" else "")
            case "key":
                path, _, value = rest.partition(" ")
                keys.setdefault(_key(path), value)
            case "nokey":  # a `key` after it: the key came with a module, and was set later
                arrived |= {_key(rest)} - keys.keys()
            case "module" | "unloads":
                loaded.setdefault(rest, kind == "unloads")
            case "folder":
                folders[rest] = None
            case "line":
                lines[rest] = None
    return PriorState(
        files=files,
        folders=tuple(folders),
        lines=tuple(map(_line, lines)),
        keys=keys,
        created_keys=frozenset(arrived),
        modules=tuple(name for name, was_loaded in loaded.items() if not was_loaded),
        unloaded=tuple(name for name, was_loaded in loaded.items() if was_loaded),
    )
