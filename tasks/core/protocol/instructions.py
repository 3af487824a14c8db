"""The instructions that the node scripts obey, one a line: main.sh's `case` reads them. No other module spells one.

Each builder returns one instruction. Its first word names it, the rest is data, never shell text: script.request()
refuses a line break in it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tasks.core.facts import Line, key_file
from tasks.core.kernel import normalize_module
from tasks.core.protocol.lock import LOCK, STORE, ChangeId

# The end of a request that reads: the reply to all that was asked.
SCAN = "scan"
# The same after a change, without what no change alters: see snapshot.sh.
RESCAN = "rescan"
# The end of a request that changes: the lock is given back.
FINISH = "finish"
# The files that were kept so far move to their places together.
PLACE_FILES = "placed"


# What probe.sh and kubeadm.sh obey


def look(path: str) -> str:
    """Ask for a file's lines, or whether the path exists."""
    return f"look {path}"


def look_at_key(key: str) -> str:
    """Ask for a key's value."""
    return f"look {key_file(key)}"


def check_presence(path: str) -> str:
    """Ask whether a path exists, without reading it: it may hold a token."""
    return f"there {path}"


def find_path(pattern: str) -> str:
    """Ask for the first path that a pattern of the shell matches."""
    return f"find {pattern}"


def want_module(name: str) -> str:
    """Ask for a module by its normal name; the pattern beside it takes `-` and `_` alike."""
    normal = normalize_module(name)
    return f"want {normal} {normal.replace('_', '[-_]')}"


def find_unit(name: str) -> str:
    """Ask where systemd has a unit, and whether it is masked or altered."""
    return f"unit {name}"


def find_kernel_options(names: str) -> str:
    """Ask for options of the kernel's configuration. names: a pattern for grep -E, without `CONFIG_`."""
    return f"options {names}"


def find_listeners(pattern: str) -> str:
    """Ask for the lines of /proc/net/{tcp,tcp6,unix} that a pattern for grep -E matches."""
    return f"listeners {pattern}"


# What frames a request


def receive_with(boot: str) -> str:
    """Give the text of boot.sh, which receives the next request."""
    return f"boot {boot}"


def limit_commands(seconds_left: float) -> str:
    """Limit each command to half of the time left, so that one that hangs is still reported; at least to 1 s."""
    return f"within {max(1, int(seconds_left / 2))}"


def lock(change: ChangeId) -> str:
    """Take the node's lock for a change; if another has it, the rest of the request is not done."""
    return f"lock {LOCK} {change.verb} {change.who} {change.run}"


def unlock() -> str:
    """Take the lock away from whoever has it."""
    return f"unlock {LOCK}"


# What snapshot.sh obeys


def note(text: str) -> str:
    """Add a line to the snapshot, such as `run RUN`."""
    return f"note {text}"


def save_file(path: str) -> str:
    """Keep a copy of a file that is about to be written or removed."""
    return f"save {path}"


def save_line(line: Line) -> str:
    """Keep a line of another owner's file that is about to be commented out."""
    return f"line {_line(line)}"


def save_key(key: str) -> str:
    """Keep the value of a key, or of all keys that a pattern with `*` matches."""
    return f"value {key_file(key)}"


def save_module(name: str) -> str:
    """Keep whether a module that is about to be loaded is loaded."""
    return f"module {name}"


def save_unload(name: str) -> str:
    """Keep that a module was loaded before we unload it."""
    return note(f"unloads {name}")


def take_snapshot(change: ChangeId) -> str:
    """Write down what was kept so far; without that, nothing else of the request is done."""
    return f"snapshot {STORE} {change.run}"


# What apply.sh obeys


def begin_file(path: str) -> str:
    """Begin a file without any line."""
    return f"file {path}"


def add_line(text: str) -> str:
    """Add a line to the file that was begun."""
    return f"|{text}"


def keep_file(path: str) -> str:
    """Write the file that was begun beside its place; PLACE_FILES moves it there."""
    return f"keep {path}"


def disable_line(line: Line) -> str:
    """Comment out a line of another owner's file, if it still reads so."""
    return f"disable {_line(line)}"


def load_together(names: Iterable[str]) -> str:
    """Load several modules with one modprobe; if it succeeds silently, load_module() does nothing."""
    return f"loads {' '.join(names)}"


def load_module(name: str) -> str:
    """Load a module."""
    return f"load {name}"


def load_sysctl_file(path: str) -> str:
    """Give a file to `sysctl -p`; if it succeeds silently, set_key() does nothing."""
    return f"sysctl {path}"


def set_key(key: str, value: str) -> str:
    """Write a value to a key."""
    return f"set {key_file(key)} {value}"


# What rollback.sh obeys


def read_history() -> str:
    """Ask for every line of every snapshot."""
    return f"history {STORE}"


def expect_newest(folder: str) -> str:
    """Do nothing else of the request if there is a newer snapshot than this one."""
    return f"newest {folder}"


def compare_file(path: str, copy: str) -> str:
    """Ask whether a file is what its copy is; if so, the reply confirms this instruction as it is."""
    return f"same {path} {copy}"


def find_disabled_line(line: Line) -> str:
    """Ask whether a line is commented out by us; if so, the reply confirms this instruction as it is."""
    return f"marked {_line(line)}"


def confirmed_line(line: Line) -> str:
    """Return what the reply to find_disabled_line() confirms of a line that is not commented out."""
    return f"stands {_line(line)}"


def restore_file(path: str, copy: str) -> str:
    """Put the copy of a file in its place."""
    return f"restore {path} {copy}"


def remove_file(path: str) -> str:
    """Remove a file."""
    return f"remove {path}"


def enable_line(line: Line) -> str:
    """Take our mark from a line that we commented out."""
    return f"enable {_line(line)}"


def unload_modules(names: Iterable[str]) -> str:
    """Unload those of some modules that nothing uses."""
    return f"unload {' '.join(names)}"


def remove_folder(path: str) -> str:
    """Remove a folder if it is empty."""
    return f"rmdir {path}"


def forget_snapshot(folder: str) -> str:
    """Throw a snapshot away."""
    return f"forget {folder}"


def _line(line: Line) -> str:
    return f"{line.path} {line.number} {line.text}"


# Several instructions that go together


def want_modules(names: Iterable[str]) -> list[str]:
    """Ask for modules, each once however it is spelled."""
    return list(dict.fromkeys(map(want_module, names)))


def extra_probe(keys: Iterable[str], modules: Iterable[str]) -> list[str]:
    """Ask for further keys and modules in a probe."""
    return [*map(look_at_key, keys), *want_modules(modules)]


def take_lock(change: ChangeId, *, force: bool = False) -> list[str]:
    """Take the node's lock before any change. force: also from a living owner."""
    return [*([unlock()] if force else []), lock(change)]
