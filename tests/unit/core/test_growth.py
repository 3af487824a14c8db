"""The work on hostile text grows with its length and not with its square: for twice the text, at most 2.2 times the
work. CPU time of one size is compared with that of the other, as the best of several."""

from __future__ import annotations

import ast
import contextlib
import gc
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.core import facts as facts_module
from tasks.core.boot.files import join_continued, kernel_arguments, lines_of
from tasks.core.boot.globs import Glob
from tasks.core.boot.inits import Dialect
from tasks.core.boot.simulation import NextBoot
from tasks.core.boot.sysctl import BootWrites, SetterRun, parse_assignments
from tasks.core.errors import NodeError
from tasks.core.facts import Line
from tasks.core.kernel import is_key, parse_integer, parse_ports, same_value, satisfies
from tasks.core.memo import clear_caches
from tasks.core.ownfiles import assignments, profile_of_file
from tasks.core.plan.desired import resolve
from tasks.core.plan.persistence import conflicting_lines
from tasks.core.plan.writers import LikelyWriters
from tasks.core.protocol.reply import parse_reply
from tasks.core.sanitize import sanitize, sanitize_lines
from tasks.core.undo.snapshot import parse_snapshots
from tests.support.boots import facts
from tests.support.builders import facts as probed
from tests.support.builders import rendered

pytestmark = pytest.mark.slow

KIB = 1024
SIZES = (64 * KIB, 256 * KIB, 1024 * KIB)
GROWTH = 2.2**4  # of four doublings
SLOWEST = 30  # seconds: a square is given up at the first size
NOISE = 0.005  # seconds
PATIENCE = 60  # seconds
CORE = Path(facts_module.__file__).parent

Work = Callable[[str], object]


def cpu(work: Work, text: str) -> float:
    """Return the CPU seconds of one call, with nothing in any cache, and without the collector's own passes."""
    clear_caches()
    gc.disable()
    try:
        start = time.process_time()
        with contextlib.suppress(NodeError):
            work(text)
        return time.process_time() - start
    finally:
        gc.enable()


def check_growth(work: Work, make: Callable[[int], str]) -> None:
    """Compare one call of the largest size with as many characters in calls of the smallest, side by side.

    What is linear takes about as long in both, in some round of PATIENCE seconds; GROWTH leaves room for the memory of
    a busy machine. A square takes 16 times as long in each round. Both are timed within one round, because what else
    runs on a shared processor counts as our time, for a second or more.
    """
    smallest, middle, largest = SIZES
    texts = {size: make(size) for size in SIZES}
    taken = cpu(work, texts[middle])
    assert taken < SLOWEST, f"{middle} characters took {taken:.1f} s"
    ratios: list[float] = []
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        pieces = sum(cpu(work, texts[smallest]) for _ in range(largest // smallest))
        whole = cpu(work, texts[largest])
        assert whole < SLOWEST, f"{largest} characters took {whole:.1f} s"
        if whole <= GROWTH / (largest // smallest) * pieces + NOISE:
            return
        ratios.append(whole / pieces)
    pytest.fail(f"{largest} characters took as long as so many calls of the same length in all: {ratios}")


def repeated(piece: str, head: str = "", tail: str = "") -> Callable[[int], str]:
    """Make texts of a size from a repeated piece."""
    return lambda size: head + piece * (size // len(piece)) + tail


# Patterns


def patterns() -> Iterator[tuple[str, str, str]]:
    """Yield each pattern of the core that is written as a text, with its file and the method that it is used by."""
    methods = {"match", "search", "fullmatch", "findall", "finditer", "sub", "split"}
    for path in sorted(CORE.rglob("*.py")):
        if path.parent.name == "inventory":  # the admin's own files: no node's text gets there
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = str(path.relative_to(CORE))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
                continue
            text = node.args[0]
            if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
                continue
            if node.func.attr in methods:
                yield name, node.func.attr, text.value
            elif node.func.attr == "compile":
                yield from ((name, method, text.value) for method in sorted(methods & uses(tree, node)))


def uses(tree: ast.AST, compiled: ast.Call) -> set[str]:
    """Return the methods that the core calls on the name that a compiled pattern is assigned to."""
    names = {
        ast.unparse(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target, value in pairs_of(node)
        if value is compiled
    }
    return {method for name in names for method in re.findall(rf"\b{re.escape(name)}\.(\w+)\(", ALL_TEXT)}


def pairs_of(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]]:
    """Return each target of an assignment with its value, also of `a, b = x, y`."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


ALL_TEXT = "\n".join(path.read_text(encoding="utf-8") for path in sorted(CORE.rglob("*.py")))
PATTERNS = sorted(set(patterns()))
SEEDS = ("a", "0", " ", "/", "[", '"', "-", "a.", "a b ", "0-", "modprobe ", '"a', "a:1:", "\\ ")


def test_the_patterns_of_the_core_are_found() -> None:
    assert len(PATTERNS) > 25
    assert {"boot/files.py", "boot/modules.py", "kernel.py", "undo/snapshot.py"} <= {name for name, _, _ in PATTERNS}


@pytest.mark.parametrize(("name", "method", "pattern"), PATTERNS, ids=[f"{n}: {p}" for n, _, p in PATTERNS])
def test_a_pattern_takes_linear_time(name: str, method: str, pattern: str) -> None:
    compiled = re.compile(pattern)
    work: Work = getattr(compiled, method) if method != "sub" else (lambda text: compiled.sub("", text))
    for seed in SEEDS:
        check_growth(work, repeated(seed, tail="!\n"))


# Parsers


def boot_of(path: str) -> Work:
    """Return the work of a whole boot with one file of this text: each key and module judged."""

    def work(text: str) -> object:
        node = facts({path: text, "/etc/modules-load.d/a.conf": "overlay\nbr_netfilter"})
        boot = NextBoot(node, node.files)
        return [boot.key("net.ipv4.ip_forward"), boot.module_obstacle("overlay"), boot.module_obstacle("br_netfilter")]

    return work


def lines_in_the_way(path: str) -> Work:
    """Return the search for lines to comment out of a file of this text."""

    def work(text: str) -> object:
        node = facts({path: text}, values={"net.ipv4.ip_forward": "1"}, loaded=("foo",))
        desired = resolve([rendered("net.ipv4.ip_forward = 1", "foo")], node)
        ours = {file.path: file.lines for file in desired.files}
        node = facts({path: text, **{name: "\n".join(lines) for name, lines in ours.items()}}, loaded=("foo",))
        return conflicting_lines(desired, NextBoot(node, node.files))

    return work


def lines(text: str) -> list[Line]:
    return [Line("/etc/x", number, line) for number, line in enumerate(text.split("\n"), 1)]


AS_ROOT = "== found\n/proc/self/status:Uid:\t0\t0\t0\t0\n"
MODPROBE, SYSCTL = "/etc/modprobe.d/x.conf", "/etc/sysctl.d/zzz.conf"
PARSERS: dict[str, tuple[Work, Callable[[int], str]]] = {
    "the command line": (kernel_arguments, repeated("sysctl.a=1 ")),
    "the command line in quotes": (kernel_arguments, repeated('"a" ')),
    "the command line without an end": (kernel_arguments, repeated("a", head='sysctl.x="')),
    "continued lines": (lambda text: [x.words for x in join_continued(lines(text))], repeated("a \\\n")),
    "an install line": (boot_of(MODPROBE), repeated("modprobe ", head="install overlay ")),
    "an install line of options": (boot_of(MODPROBE), repeated(" modprobe -", head="install overlay ")),
    "install lines": (boot_of(MODPROBE), repeated("install over /bin/true\n")),
    "install lines for it": (boot_of(MODPROBE), repeated("install overlay /bin/true\n")),
    "alias patterns": (boot_of(MODPROBE), repeated("alias o*y x\n")),
    "an alias of brackets": (boot_of(MODPROBE), repeated("[", head="alias ", tail=" x")),
    "an alias of stars": (boot_of(MODPROBE), repeated("*a", head="alias ", tail=" x")),
    "blacklists": (boot_of(MODPROBE), repeated("blacklist overlay\n")),
    "modules to load": (boot_of("/etc/modules-load.d/z.conf"), repeated("overlay\n")),
    "keys": (boot_of(SYSCTL), repeated("net.ipv4.ip_forward=1\n")),
    "a key of brackets": (boot_of(SYSCTL), repeated("[", tail="=1")),
    "a key of stars": (boot_of(SYSCTL), repeated("*.", tail="=1")),
    "a key of slashes": (boot_of(SYSCTL), repeated("/", tail="=1")),
    "patterns of keys": (boot_of(SYSCTL), repeated("net.*.ip_forward=1\n")),
    "many keys": (
        lambda text: BootWrites([SetterRun(tuple(lines(text)), Dialect.SYSTEMD)]).last("a.b"),
        lambda size: "".join(f"a.b{number}=1\n" for number in range(size // 10)),
    ),
    "a value": (lambda text: parse_assignments(Line("/x", 1, f"a.b={text}"), Dialect.BUSYBOX), repeated("1 ")),
    "lines of a key in the way": (lines_in_the_way(SYSCTL), repeated("net.ipv4.ip_forward=0\n")),
    "blacklists in the way": (lines_in_the_way(MODPROBE), repeated("blacklist foo\n")),
    "install lines in the way": (lines_in_the_way(MODPROBE), repeated("install foo /bin/true\n")),
    "alias lines in the way": (lines_in_the_way(MODPROBE), repeated("alias foo off\n")),
    "ports": (parse_ports, repeated("1,", tail="2")),
    "ranges of ports": (parse_ports, repeated("1-65535,", tail="2")),
    "an integer": (parse_integer, repeated("1")),
    "a value compared": (lambda text: same_value("vm.x", text, f"{text}1"), repeated("1 ")),
    "a value judged": (lambda text: satisfies("vm.x", text, "1", "1"), repeated("1 ")),
    "a key's name": (is_key, repeated("a.")),
    "a glob": (lambda text: Glob(text).matches("net/ipv4/ip_forward"), repeated("*i")),
    "a glob of brackets": (lambda text: Glob(text).matches("net/ipv4/ip_forward"), repeated("[")),
    "a glob of classes": (lambda text: Glob(text).matches("net/ipv4/ip_forward"), repeated("[a-z]")),
    "our file": (lambda text: assignments(text.split("\n")), repeated("vm.x = 1\n")),
    "a path": (profile_of_file, repeated("a", head="/etc/sysctl.d/99-zz-nodeprep-", tail=".conf")),
    "processors": (
        lambda text: probed({"/sys/devices/system/cpu/online": text}).for_templates(),
        repeated("0-1,"),
    ),
    "lockdown": (lambda text: probed({"/sys/kernel/security/lockdown": text}), repeated("[a")),
    "a text": (sanitize, repeated("\x1b[")),
    "texts": (sanitize_lines, repeated("\x1b[\n")),
    "comments": (lambda text: lines_of(facts({"/etc/x.conf": text}).files.values()), repeated("x # \n")),
    "a writer": (
        lambda text: LikelyWriters(facts({SYSCTL: text})).explain("vm.x", "1"),
        repeated("vm.x=2\n"),
    ),
    "snapshots": (
        lambda text: parse_snapshots(probed(history=[f"s{line}" for line in text.split("\n")])),
        repeated("/var/lib/nodeprep/1.a/snapshot:more\n"),
    ),
}
PIECES = (
    "y\n",
    "r/proc/sys/vm/x\n",
    "e a b\n",
    "== x\n",
    "/etc/x:1:a\n",
    ":",
    "/:1",
    " ",
    "- ",
    "- 1 0 0 0 a b c /d\n",
)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("head", ["", "== found\n"])
def test_a_reply_takes_linear_time(head: str, piece: str) -> None:
    check_growth(parse_reply, repeated(piece, head=f"{AS_ROOT}{head}"))


@pytest.mark.parametrize(("work", "make"), PARSERS.values(), ids=PARSERS)
def test_a_parser_takes_linear_time(work: Work, make: Callable[[int], str]) -> None:
    check_growth(work, make)


# Limits

LARGE: dict[str, str] = {
    "a long line": f"/etc/x:1:{'a' * 70_000}\n",
    "many lines": "y\n" * 110_000,
    "many lines of files": "/etc/x:1:a\n" * 11_000,
    "many dependencies": "/lib/modules/6/modules.dep:a.ko: "
    + " ".join(f"b{number}.ko" for number in range(1100))
    + "\n",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_a_reply_beyond_the_limits_is_the_nodes_own_short_error(text: str) -> None:
    with pytest.raises(NodeError) as caught:
        parse_reply(f"{AS_ROOT}{text}")
    assert len(caught.value.problem) + len(caught.value.next_step) < 300
    assert "more than" in caught.value.problem


@pytest.mark.parametrize(
    ("path", "line"), [(MODPROBE, "alias o*y x\n"), (MODPROBE, "install o* x\n"), (SYSCTL, "net.*.a{}=1\n")]
)
def test_a_node_of_too_many_patterns_is_its_own_error(path: str, line: str) -> None:
    lines = [line.format(number) for number in range(1001)]
    node = facts({path: "".join(lines)})
    with pytest.raises(NodeError, match="1001 patterns"):
        NextBoot(node, node.files)
    node = facts({path: "".join(lines[1:])})
    NextBoot(node, node.files)


HELD: dict[str, str] = {
    "a command line": "r/proc/cmdline\n== found\n/proc/cmdline:1:" + "a" * 60_000,
    "values": "== found\n" + "/etc/x:1:a\n" * 9_000,
}


@pytest.mark.parametrize("text", HELD.values(), ids=HELD)
def test_a_hostile_reply_holds_little_memory(text: str) -> None:
    tracemalloc.start()
    try:
        node = parse_reply(f"{AS_ROOT}{text}\n")
        NextBoot(node, node.files)
        assert tracemalloc.get_traced_memory()[1] < 20 * 1024 * 1024
    finally:
        tracemalloc.stop()
