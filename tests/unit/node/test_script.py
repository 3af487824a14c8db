"""The request that carries the script, and what of the script travels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.core.kubeadm import checks as join
from tasks.node import script
from tests.support.steps import (
    MARK,
)


def scripts() -> list[Path]:
    """The node's scripts."""
    found = sorted(Path(script.__file__).with_name("scripts").glob("*.sh"))
    assert len(found) >= 8, found
    return found


def test_what_travels_is_the_script_without_its_comments() -> None:
    """Each line begins as the source's, and what is cut off is a comment: the quotes before it are closed."""
    for path in scripts():
        source = [line.strip() for line in path.read_text().splitlines()]
        kept = script.script((path.name,)).splitlines()[1:]
        pairs = zip((line for line in source if line and line[0] != "#"), kept, strict=False)
        for line, travels in pairs:
            assert line.startswith(travels)
            assert line == travels or (line[len(travels) :].lstrip()[:2] == "# " and travels.count("'") % 2 == 0)
            assert travels.count('"') % 2 == 0 or line == travels


def test_no_part_of_the_script_takes_the_place_of_another_ones_function() -> None:
    """In one shell there is one function of a name, and the last one counts."""
    parts = [path.read_text() for path in scripts()]
    names = [name for part in parts for name in re.findall(r"^(\w+)\(\)", part, re.MULTILINE)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("changes", [False, True])
def test_the_scripts_own_lines_are_counted_and_none_is_empty(changes: bool) -> None:
    """The shell passes over so many words that end with a line: the script's, and the mark."""
    text = script.request(MARK, ["remove /etc/x.conf", "listeners x", "scan"], changes=changes).decode()
    own = text[: text.index(MARK)].splitlines()
    assert own[0] == f"own={len(own) + 1}"
    assert all(own)


def test_what_travels_in_quotes_is_one_line_without_quotes() -> None:
    command = script.command(MARK, 1234)
    boot = command.removeprefix("exec sh -c '").removesuffix(f"' nodeprep 1234 {MARK}")
    assert command == f"exec sh -c '{boot}' nodeprep 1234 {MARK}"
    assert "'" not in boot
    assert "\n" not in boot
    assert "!" not in boot.replace("[!", ""), "csh would take it for history"


def text_of(*lines: str, changes: bool = False) -> str:
    """The script that travels with these instructions."""
    return script.script(tuple(script.parts(lines, changes=changes)))


@pytest.mark.parametrize("changes", [False, True])
def test_a_request_is_the_script_the_data_and_a_mark_after_each(changes: bool) -> None:
    data = script.request(MARK, ["look /proc/x", "|# grün"], changes=changes).decode()
    text, instructed, rest = data.split(MARK)
    assert (text, rest) == (text_of(changes=changes), "")
    assert instructed.split("\n")[1].startswith("boot exec 2>&1; ")
    assert instructed.split("\n")[2:] == ["look /proc/x", "|# grün", ""]


def test_only_a_request_that_changes_holds_what_can_change_anything() -> None:
    for word in ("modprobe", "mkdir", "mv -f", "rm -f", "set_key", "sync", "restorecon"):
        assert f"{word} " not in text_of().replace("modprobe.d", "").replace(
            '[ "$together" ] || try load "$argument" limited modprobe "$argument"', ""
        ).replace('set_key "${argument%% *}"', "")
        assert word in text_of(changes=True)
    assert ">" not in text_of().replace("2>/dev/null", "").replace("2>&1", "")


def test_what_only_verify_asks_travels_only_with_its_questions() -> None:
    plain, asking = (script.request(MARK, [*lines, "scan"]).decode() for lines in ([], join.probe_instructions()))
    for word in ("date +%s", "/boot/config-", "/proc/net/tcp"):
        assert (word in plain, word in asking) == (False, True)
    assert ">" not in text_of(*join.probe_instructions()).replace("2>/dev/null", "").replace("2>&1", "")


def test_a_part_travels_with_its_instructions_and_to_each_shell_once() -> None:
    change, back = ["scan"], ["remove /etc/a.conf", "scan"]
    assert script.parts(change, changes=True) == ["probe.sh", "apply.sh", "lock.sh", "snapshot.sh"]
    assert script.parts(back, changes=True) == [*script.parts(change, changes=True), "rollback.sh"]
    known: set[str] = set()
    script.request(MARK, change, changes=True, known=known)
    again = script.request(MARK, back, changes=True, known=known).decode()
    assert ("\nremove() " in f"\n{again}", "\nplace() " in again, "\nscan() " in again) == (True, False, False)


def test_the_script_travels_without_comments_and_indentation() -> None:
    lines = text_of("remove /etc/a.conf", changes=True).splitlines()
    assert all(line == line.strip() and line and line[0] != "#" for line in lines)


@pytest.mark.parametrize("line", ["a\nb", "a\0b", f"look {MARK}"])
def test_an_instruction_that_would_become_two_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="one line of text"):
        script.request(MARK, [line])


def test_marks_are_32_hexadecimal_digits_and_never_the_same() -> None:
    marks = {script.new_mark() for _ in range(100)}
    assert len(marks) == 100
    assert all(len(mark) == 32 and set(mark) <= set("0123456789abcdef") for mark in marks)


def test_no_script_has_a_here_document() -> None:
    """bash before 5.1 writes one to a file in TMPDIR: where there is no room for it, the command reads nothing."""
    assert [(path.name, line) for path in scripts() for line in path.read_text().splitlines() if "<<" in line] == []
