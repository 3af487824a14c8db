"""Each builder beside what main.sh makes of its instruction, both ways."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.core.facts import Line
from tasks.core.protocol import instructions
from tasks.core.protocol.lock import LOCK, STORE, ChangeId
from tasks.node import script
from tests.support.shells import SHELLS, run

TASKS = Path(script.__file__).parents[1]
SCRIPTS = Path(script.__file__).with_name("scripts")
MARK = "0123456789abcdef0123456789abcdef"
CHANGE = ChangeId("20261125-021502-a3f1", "anna@laptop", "apply")
LINE = Line("/etc/x.conf", 3, "a =  b c")
KEY, KEY_FILE = "net.ipv4.conf.eth0/1.x", "/proc/sys/net/ipv4/conf/eth0.1/x"

# Builder, its arguments, and what the script does: a function with its arguments, or a variable with its value.
CASES: list[tuple[Callable[..., str] | str, tuple[object, ...], list[str]]] = [
    (instructions.look, ("/etc/x",), ["look", "/etc/x"]),
    (instructions.look_at_key, (KEY,), ["look", KEY_FILE]),
    (instructions.check_presence, ("/etc/x",), ["there", "/etc/x"]),
    (instructions.find_path, ("/sys/class/net/*/bridge",), ["find_path", "/sys/class/net/*/bridge"]),
    (instructions.want_module, ("br-netfilter",), ["want", "br_netfilter", "br[-_]netfilter"]),
    (instructions.find_unit, ("x.service",), ["unit", "x.service"]),
    (instructions.find_kernel_options, ("A|B",), ["options=A|B"]),
    (instructions.find_listeners, ("^ *[0-9]+: | x",), ["listeners=^ *[0-9]+: | x"]),
    (instructions.receive_with, ("exec 2>&1; x",), ["boot=exec 2>&1; x"]),
    (instructions.limit_commands, (61.0,), ["within", "30"]),
    (instructions.lock, (CHANGE,), ["lock", LOCK, "apply anna@laptop 20261125-021502-a3f1"]),
    (instructions.unlock, (), ["unlock", LOCK]),
    (instructions.note, ("run r  1",), ["note", "run r  1"]),
    (instructions.save_file, ("/etc/x",), ["save", "/etc/x"]),
    (instructions.save_line, (LINE,), ["line", "/etc/x.conf 3 a =  b c"]),
    (instructions.save_key, (KEY,), ["value", KEY_FILE]),
    (instructions.save_module, ("ip_vs",), ["module", "ip_vs"]),
    (instructions.save_unload, ("ip_vs",), ["note", "unloads ip_vs"]),
    (instructions.take_snapshot, (CHANGE,), ["snapshot", STORE, CHANGE.run]),
    (instructions.begin_file, ("/etc/x",), ["text="]),
    (instructions.add_line, ("  |a b ",), ["text=  |a b "]),
    (instructions.keep_file, ("/etc/x",), ["stage", "/etc/x"]),
    (instructions.PLACE_FILES, (), ["placed"]),
    (instructions.disable_line, (LINE,), ["try", "disable", "/etc/x.conf:3", "disable", "/etc/x.conf", "3", LINE.text]),
    (instructions.load_together, (["a", "b"],), ["loads", "a b"]),
    (instructions.load_module, ("a",), ["try", "load", "a", "limited", "modprobe", "a"]),
    (instructions.load_sysctl_file, ("/etc/x",), ["try", "sysctl", "/etc/x", "limited", "sysctl", "-p", "/etc/x"]),
    (instructions.set_key, (KEY, "1  2"), ["try", "set", KEY_FILE, "set_key", KEY_FILE, "1  2"]),
    (instructions.read_history, (), ["history", STORE]),
    (instructions.expect_newest, (f"{STORE}/1.r",), ["newest", f"{STORE}/1.r"]),
    (instructions.compare_file, ("/etc/x", "/c"), ["same", "/etc/x", "/c"]),
    (instructions.find_disabled_line, (LINE,), ["marked", "/etc/x.conf 3 a =  b c"]),
    (instructions.restore_file, ("/etc/x", "/c"), ["try", "restore", "/etc/x", "restore", "/etc/x", "/c"]),
    (instructions.remove_file, ("/etc/x",), ["try", "remove", "/etc/x", "remove", "/etc/x"]),
    (instructions.enable_line, (LINE,), ["try", "enable", "/etc/x.conf:3", "enable", "/etc/x.conf", "3", LINE.text]),
    (instructions.unload_modules, (["a", "b"],), ["unload", "a b"]),
    (instructions.remove_folder, ("/etc/x",), ["rmdir", "/etc/x"]),
    (instructions.forget_snapshot, ("/s",), ["try", "forget", "/s", "forget", "/s"]),
    (instructions.SCAN, (), ["scan"]),
    (instructions.RESCAN, (), ["rescan"]),
    (instructions.FINISH, (), ["finish"]),
]
# What no instruction is: several of them, and a line of the reply.
NO_BUILDERS = {instructions.want_modules, instructions.extra_probe, instructions.take_lock, instructions.confirmed_line}


def built(builder: Callable[..., str] | str, arguments: tuple[object, ...]) -> str:
    return builder if isinstance(builder, str) else builder(*arguments)


INSTRUCTIONS = [built(builder, arguments) for builder, arguments, _ in CASES]


def word(instruction: str) -> str:
    return "|" if instruction[0] == "|" else instruction.partition(" ")[0]


def known_words() -> set[str]:
    """The words of main.sh's `case`."""
    text = (SCRIPTS / "main.sh").read_text()
    cases = text[text.index("case $instruction in") : text.index("done\n")]
    return set(re.findall(r"^ +'?([a-z]+|\|)(?: '\*|'\*)?\)", cases, re.MULTILINE))


def test_every_builder_is_tried_here() -> None:
    functions = {found for _, found in inspect.getmembers(instructions, inspect.isfunction)}
    own = {found for found in functions if found.__module__ == instructions.__name__ and found.__name__[0] != "_"}
    constants = {text for name, text in inspect.getmembers(instructions) if name.isupper() and isinstance(text, str)}
    tried = {builder for builder, _, _ in CASES}
    assert tried == own - NO_BUILDERS | constants - {LOCK, STORE}


def test_the_script_knows_each_instruction_that_is_built_and_no_other() -> None:
    assert len(known_words()) > 30
    assert known_words() == set(map(word, INSTRUCTIONS))


def heard(shell: str, instruction: str) -> list[str]:
    """What main.sh does with an instruction, where each function of the scripts says its name and arguments."""
    parts = "".join(path.read_text() for path in SCRIPTS.glob("*.sh"))
    names = [*re.findall(r"^(\w+)\(\)", parts, re.MULTILINE), "rmdir"]
    assert len(names) > 50
    stubs = "".join(f'{name}() {{ printf "%s\\n" {name} "$@"; }}\n' for name in names)
    request = f"{script.script(())}{MARK}\n{instruction}\n{MARK}"
    variables = r'for each in "boot=$boot" "text=$text" "options=$options" "listeners=$listeners"; do'
    ends = f"""trap '{variables} printf "%s\\n" "$each"; done' EXIT\n"""
    code = f'boot= options= session=$2\n{stubs}{ends}b=$1\neval "${{b%%"$2"*}}"'
    done = run([SHELLS[shell], *(["sh"] if shell == "busybox" else []), "-c", code, "x", request, MARK], b"")
    before, _, after = done.stdout.decode().partition(f"{MARK} end\n")
    values = [line for line in after.splitlines() if not line.endswith("=") and "=" in line]
    return [*before.splitlines(), *values]


@pytest.mark.parametrize("shell", sorted(SHELLS))
@pytest.mark.parametrize(
    ("case", "instruction"), list(zip(CASES, INSTRUCTIONS, strict=True)), ids=map(word, INSTRUCTIONS)
)
def test_the_script_reads_an_instruction_as_it_was_meant(
    case: tuple[object, object, list[str]], instruction: str, shell: str
) -> None:
    assert heard(shell, instruction) == [part for part in case[2] if not part.endswith("=")]


def test_a_file_begins_without_the_lines_of_the_one_before() -> None:
    lines = [instructions.add_line("old"), instructions.begin_file("/etc/x"), instructions.add_line("new")]
    assert heard("dash" if "dash" in SHELLS else "bash", "\n".join(lines)) == ["text=new"]


def test_what_the_reply_confirms_of_a_line_is_what_the_script_says() -> None:
    text = (SCRIPTS / "rollback.sh").read_text()
    said = set(re.findall(r'say "h(\w+) ', text))
    questions = [instructions.compare_file("/x", "/c"), instructions.find_disabled_line(LINE)]
    assert said == set(map(word, [*questions, instructions.confirmed_line(LINE)]))
    assert instructions.confirmed_line(LINE).partition(" ")[2] == questions[1].partition(" ")[2]


def spelled(path: Path) -> Iterator[str]:
    """The texts in a module that begin as an instruction with data in it does, or are one without."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            first = str(node.values[0].value)
            if first.split(" ", maxsplit=1)[0] in known_words() and re.fullmatch(r"\w+ |\|", first):
                yield f"{path.relative_to(TASKS)}:{node.lineno}: {first}"
        elif isinstance(node, ast.Constant) and node.value in (instructions.SCAN, instructions.RESCAN, "placed"):
            yield f"{path.relative_to(TASKS)}:{node.lineno}: {node.value}"


def test_no_other_module_spells_an_instruction() -> None:
    rooms = [TASKS / "node", TASKS / "core" / "undo", TASKS / "core" / "protocol", TASKS / "core" / "kubeadm"]
    modules = [path for room in rooms for path in room.rglob("*.py") if path.name != "cluster.py"]
    assert len(modules) > 15
    found = [text for path in modules for text in spelled(path)]
    assert [text for text in found if not text.startswith("core/protocol/instructions.py:")] == []
    assert len(found) > 30


@pytest.mark.parametrize(("remaining", "seconds"), [(60.0, 30), (3.9, 1), (0.01, 1)])
def test_one_command_may_take_half_of_what_is_left(remaining: float, seconds: int) -> None:
    assert instructions.limit_commands(remaining) == f"within {seconds}"


def test_a_module_is_wanted_once_however_it_is_spelled() -> None:
    assert instructions.want_modules(["ip-vs", "ip_vs", "overlay"]) == ["want ip_vs ip[-_]vs", "want overlay overlay"]


def test_a_lock_is_taken_by_force_only_where_that_is_asked_for() -> None:
    taken = f"lock {LOCK} apply anna@laptop 20261125-021502-a3f1"
    assert instructions.take_lock(CHANGE) == [taken]
    assert instructions.take_lock(CHANGE, force=True) == [f"unlock {LOCK}", taken]
