"""Names and values of sysctl keys and kernel modules: one spelling for each name, and a comparison of values."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.core.memo import memoized

KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:@-]*\Z")
MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*\Z")
INTEGER = re.compile(r"(?=.{1,20}\Z)-?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\Z")
PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")

# The modules that provide keys, by the beginning of the keys' names: a new one is one row here. A key is absent without
# its module (systemd's sysctl.d(5) has the bridge keys as its example).
MODULE_OF_PREFIX = (
    ("net.bridge.", "br_netfilter"),
    ("net.netfilter.nf_conntrack", "nf_conntrack"),
    ("net.nf_conntrack_max", "nf_conntrack"),
    ("net.ipv4.vs.", "ip_vs"),
    ("net.ipv6.", "ipv6"),
)

# Two files of /proc/sys for one value of the kernel (net/ipv4/devinet.c, net/netfilter/nf_conntrack_standalone.c,
# fs/notify/inotify/inotify_user.c).
_ALIAS_PAIRS = (
    ("net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding"),
    ("net/netfilter/nf_conntrack_max", "net/nf_conntrack_max"),
    ("fs/inotify/max_user_instances", "user/max_inotify_instances"),
    ("fs/inotify/max_user_watches", "user/max_inotify_watches"),
)

ALIASES = {one: other for pair in _ALIAS_PAIRS for one, other in (pair, pair[::-1])}

# A number written to one makes the other 0 (mm/page-writeback.c, mm/util.c).
_EXCLUSIVE_PAIRS = (
    ("vm/dirty_bytes", "vm/dirty_ratio"),
    ("vm/dirty_background_bytes", "vm/dirty_background_ratio"),
    ("vm/overcommit_kbytes", "vm/overcommit_ratio"),
)

MUTUALLY_EXCLUSIVE = {one: other for pair in _EXCLUSIVE_PAIRS for one, other in (pair, pair[::-1])}

# Writing one of these changes others with it: ip-sysctl.rst, and inet_forward_change in net/ipv4/devinet.c.
_FORWARDING = ("net.ipv4.conf.*.forwarding", "net.ipv4.conf.all.accept_redirects")

SIDE_EFFECTS = {
    "net.ipv4.ip_forward": _FORWARDING,
    "net.ipv4.conf.all.forwarding": _FORWARDING,
    "net.ipv6.conf.all.forwarding": ("net.ipv6.conf.*.forwarding",),
    "net.ipv6.conf.all.disable_ipv6": ("net.ipv6.conf.*.disable_ipv6",),
}

# Values that the kernel keeps until the next reboot, whatever is written later (LSM/Yama.rst; sysctl/kernel.rst).
_FINAL_VALUES = {
    "kernel.kexec_load_disabled": "1",
    "kernel.modules_disabled": "1",
    "kernel.unprivileged_bpf_disabled": "1",
    "kernel.yama.ptrace_scope": "3",
}
# Numbers that only go down once they are not -1 (kernel/kexec_core.c); bits that are only added (sysctl/kernel.rst).
_FALLING = {"kernel.kexec_load_limit_panic", "kernel.kexec_load_limit_reboot"}
_GROWING = {"kernel.tainted"}

_SWAPPED = str.maketrans("./", "/.")


def key_path(key: str) -> str:
    """Return the file of a key below /proc/sys. `a.b` and `a/b` name the same key.

    The first separator decides (sysctl.d(5)): after a dot, dots separate and slashes stand for dots in a name
    (`net.ipv4.conf.eth0/100.rp_filter`); after a slash it is a path already.
    """
    dot, slash = key.find("."), key.find("/")
    if dot < 0 or 0 <= slash < dot:
        return key
    return key.translate(_SWAPPED) if slash >= 0 else key.replace(".", "/")


def key_name(path: str) -> str:
    """Return the dotted name of a key for its file below /proc/sys: the inverse of key_path."""
    return path.translate(_SWAPPED)


def is_key(key: str) -> bool:
    """Return whether a text can be the name of a key: without globs, and without a step out of /proc/sys."""
    steps = key_path(key).split("/")
    return bool(KEY.match(key)) and "" not in steps and not {".", ".."} & set(steps)


def keys_changed_with(key: str) -> tuple[str, ...]:
    """Return the keys, some with a `*` in them, that the kernel changes along with this one."""
    other = MUTUALLY_EXCLUSIVE.get(key_path(key))
    return (*SIDE_EFFECTS.get(key, ()), *([key_name(other)] if other else []))


@memoized(maxsize=1024)  # called several times for each wanted key of a node
def providing_module(key: str) -> str | None:
    """Return the module that provides a key, None if it needs no module or the module is not known."""
    return next((module for prefix, module in MODULE_OF_PREFIX if key.startswith(prefix)), None)


def normalize_module(name: str) -> str:
    """Return a module's name as the kernel writes it: with `_` for `-`, which are the same (modprobe(8))."""
    return name.replace("-", "_")


def same_module(one: str, other: str) -> bool:
    """Return whether two names are the same module's."""
    return normalize_module(one) == normalize_module(other)


def is_port_list(key: str) -> bool:
    """Return whether a key holds a set of ports. The kernel folds and sorts the list that is written to it."""
    return key.endswith(".ip_local_reserved_ports")


def parse_integer(text: str) -> int | None:
    """Parse an integer as the kernel does (decimal, 0x hexadecimal, 0 octal). Return None if it is not an integer.

    Stricter than int(): the kernel accepts neither `+1` nor `1_000`, `0b1` or `08`, nor more than 20 characters
    (proc_get_long in kernel/sysctl.c).
    """
    if text.isdecimal() and text.isascii() and text[0] != "0" and len(text) <= 20:  # nearly all
        return int(text)
    if not INTEGER.match(text):
        return None
    return int(re.sub(r"^(-?)0(?=[0-7])", r"\g<1>0o", text), 0)


@memoized(maxsize=16)  # nodes of a fleet have the same lists, of thousands of ports
def parse_ports(text: str) -> frozenset[int] | None:
    """Parse a list of ports such as `10250,30000-32767`. Return None if the kernel refuses it, as one with blanks."""
    ranges: list[tuple[int, int]] = []
    for part in text.strip().split(",") if text.strip() else ():
        match = PORTS.match(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= 65535:
            return None
        ranges.append((first, last))
    return frozenset(_ports_of_ranges(ranges))


def _ports_of_ranges(ranges: list[tuple[int, int]]) -> Iterator[int]:
    """Yield each port once: a list may hold thousands of ranges that overlap."""
    following = 0
    for first, last in sorted(ranges):
        yield from range(max(first, following), last + 1)
        following = max(following, last + 1)


def format_ports(numbers: frozenset[int]) -> str:
    """Format a set of ports as the kernel prints it: sorted, neighbours folded into ranges."""
    runs: list[list[int]] = []
    for port in sorted(numbers):
        if runs and port == runs[-1][1] + 1:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def _words(text: str) -> list[int | str]:
    return [word if (number := parse_integer(word)) is None else number for word in text.split()]


def same_value(key: str, one: str, other: str) -> bool:
    """Return whether the kernel holds the same after either was written: integers by value, ports as a set."""
    if one == other:
        return True
    if is_port_list(key):
        return parse_ports(one) == parse_ports(other)
    return _words(one) == _words(other)


def is_final(key: str, value: str, other: str) -> bool:
    """Return whether a key that has a value can take the other one only after a reboot."""
    if same_value(key, value, other):
        return False
    if key in _FINAL_VALUES:
        return same_value(key, value, _FINAL_VALUES[key])
    now, then = parse_integer(value), parse_integer(other)
    if now is None or then is None:
        return False
    return (key in _FALLING and now >= 0 and not 0 <= then < now) or (key in _GROWING and now & ~then != 0)


def at_least(key: str, value: str, minimum: str) -> bool:
    """Return whether a value reaches the minimum: with each of its integers, or with every port of the minimum."""
    if is_port_list(key):
        return (parse_ports(value) or frozenset()) >= (parse_ports(minimum) or frozenset())
    if (number := parse_integer(value)) is not None and (least := parse_integer(minimum)) is not None:  # nearly all
        return number >= least
    numbers, least_numbers = _words(value), _words(minimum)
    pairs = list(zip(numbers, least_numbers, strict=False))
    return len(numbers) == len(least_numbers) and all(
        isinstance(a, int) and isinstance(b, int) and a >= b for a, b in pairs
    )


def satisfies(key: str, got: str, value: str, minimum: str | None) -> bool:
    """Return whether a value reaches the minimum where there is one, else whether it is the wanted value."""
    return same_value(key, got, value) if minimum is None else at_least(key, got, minimum)


def raise_to(key: str, value: str, minimum: str) -> str:
    """Return the value raised to the minimum: the larger of each pair of integers, or the union of both port sets."""
    if is_port_list(key):
        return format_ports((parse_ports(value) or frozenset()) | (parse_ports(minimum) or frozenset()))
    if (number := parse_integer(value)) is not None and (least := parse_integer(minimum)) is not None:
        return str(max(number, least))
    numbers, least_numbers = _words(value), _words(minimum)
    if len(numbers) != len(least_numbers) or not all(isinstance(word, int) for word in numbers):
        return minimum
    return " ".join(str(max(int(a), int(b))) for a, b in zip(numbers, least_numbers, strict=True))
