"""Taking back, instruction by instruction: the real script in real shells, on files of the test's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tasks.core.undo import snapshot
from tests.support.places import (
    names_in,
)
from tests.support.shells import SHELLS, Shell


def test_a_file_comes_back_to_the_byte_with_mode_owner_and_time(shell: Shell, folder: Path) -> None:
    copy, path = folder / "copy", folder / "sub" / "x.conf"
    copy.write_bytes(b"a\0b\xff\n\nno newline")
    copy.chmod(0o640)
    os.utime(copy, (1000, 2000))
    lines = [f"restore {path} {copy}", f"same {path} {copy}", "scan"]
    found = shell.first(lines)
    assert (dict(found.complaints), set(found.confirmed)) == ({}, {f"same {path} {copy}"})
    now = path.stat()
    assert (path.read_bytes(), stat.S_IMODE(now.st_mode), now.st_mtime) == (copy.read_bytes(), 0o640, 2000)
    assert names_in(path.parent) == ["x.conf"]


def test_a_link_comes_back_as_a_link(shell: Shell, folder: Path) -> None:
    copy, path = folder / "copy", folder / "x.conf"
    copy.symlink_to("nowhere")
    path.write_text("ours\n")
    assert not shell.first([f"same {path} {copy}", "scan"]).confirmed
    found = shell.first([f"restore {path} {copy}", f"same {path} {copy}", "scan"])
    assert (path.readlink(), len(found.confirmed)) == (Path("nowhere"), 1)


@pytest.mark.parametrize("what", ["text", "mode", "absent", "link"])
def test_a_file_that_differs_in_anything_is_not_the_same(shell: Shell, folder: Path, what: str) -> None:
    copy, path = folder / "copy", folder / "x.conf"
    copy.write_text("a\n")
    if what == "link":
        path.symlink_to(copy)
    elif what != "absent":
        path.write_text("b\n" if what == "text" else "a\n")
        path.chmod(0o600 if what == "mode" else 0o644)
    found = shell.first([f"same {path} {copy}", "scan"])
    assert (found.confirmed, found.complaints) == (frozenset(), {})


def test_a_copy_that_is_gone_is_said_and_nothing_is_left(shell: Shell, folder: Path) -> None:
    path = folder / "x.conf"
    path.write_text("ours\n")
    found = shell.first([f"restore {path} {folder}/no", "scan"])
    assert found.complaints["restore", str(path)]
    assert (path.read_text(), names_in(folder)) == ("ours\n", ["x.conf"])


def test_what_was_absent_is_removed(shell: Shell, folder: Path) -> None:
    path = folder / "x.conf"
    path.write_text("ours\n")
    assert not shell.first([f"remove {path}", f"rmdir {folder}", "scan"]).complaints
    assert not folder.exists()


def test_a_folder_that_others_use_by_now_stays(shell: Shell, folder: Path) -> None:
    (folder / "theirs").write_text("")
    assert not shell.first([f"rmdir {folder}", "scan"]).complaints
    assert names_in(folder) == ["theirs"]


TAKEN_OVER = "# taken over by nodeprep: "
TEXT = f"first\n{TAKEN_OVER}a = 1\n{TAKEN_OVER}b $x `y` = \\1 & [z]*\nlast"


@pytest.mark.parametrize(
    ("moved", "number", "line", "after"),
    [
        ("", 2, "a = 1", TEXT.replace(f"{TAKEN_OVER}a", "a")),
        ("", 3, "b $x `y` = \\1 & [z]*", TEXT.replace(f"{TAKEN_OVER}b", "b")),
        ("new\n", 2, "a = 1", "new\n" + TEXT.replace(f"{TAKEN_OVER}a", "a")),
    ],
    ids=["plain", "full of signs", "moved"],
)
def test_a_line_that_was_commented_out_comes_back(
    shell: Shell, folder: Path, moved: str, number: int, line: str, after: str
) -> None:
    path = folder / "theirs.conf"
    path.write_text(moved + TEXT)
    path.chmod(0o640)
    question = f"marked {path} {number} {line}"
    assert shell.first([question, "scan"]).confirmed == {question}
    found = shell.first([f"enable {path} {number} {line}", question, "scan"])
    assert (dict(found.complaints), set(found.confirmed)) == ({}, {question.replace("marked", "stands")})
    assert (path.read_text().rstrip("\n"), stat.S_IMODE(path.stat().st_mode)) == (after, 0o640)


def test_a_line_that_someone_changed_is_neither_marked_nor_standing_nor_touched(shell: Shell, folder: Path) -> None:
    path = folder / "theirs.conf"
    path.write_text(f"{TAKEN_OVER}a = 2\n")
    found = shell.first([f"marked {path} 1 a = 1", f"enable {path} 1 a = 1", "scan"])
    assert (found.confirmed, path.read_text()) == (frozenset(), f"{TAKEN_OVER}a = 2\n")
    assert found.complaints["enable", f"{path}:1"]


def test_history_shows_every_line_of_every_snapshot_in_order(shell: Shell, folder: Path) -> None:
    for name in ("000002.b", "000001.a", "new.x"):
        (folder / name).mkdir()
        (folder / name / "snapshot").write_text(f"run {name}\nkey /proc/sys/x 1\t2\n")
    found = shell.first([f"history {folder}", "scan"])
    assert found.snapshot_lines == (
        f"{folder}/000001.a/snapshot:run 000001.a",
        f"{folder}/000001.a/snapshot:key /proc/sys/x 1\t2",
        f"{folder}/000002.b/snapshot:run 000002.b",
        f"{folder}/000002.b/snapshot:key /proc/sys/x 1\t2",
    )


def test_without_a_snapshot_there_is_no_history(shell: Shell, folder: Path) -> None:
    assert shell.first([f"history {folder}/no", "scan"]).snapshot_lines == ()


def test_what_is_forgotten_is_gone_and_with_the_last_one_its_folder(shell: Shell, folder: Path) -> None:
    path = folder / "x.conf"
    (folder / f"x.{'0a' * 16}").write_text("left by a session that was killed")
    for name in ("000001.a", "000002.b"):
        (folder / "store" / name).mkdir(parents=True)
        (folder / "store" / name / "snapshot").write_text(f"absent {path}\n")
    assert not shell.first([f"forget {folder}/store/000002.b", "scan"]).complaints
    assert names_in(folder / "store") == ["000001.a"]
    assert not shell.first([f"forget {folder}/store/000001.a", "scan"]).complaints
    assert names_in(folder) == []


def test_a_newer_snapshot_than_the_one_decided_with_stops_everything(shell: Shell, folder: Path) -> None:
    for name in ("000001.a", "000002.b"):
        (folder / name).mkdir()
        (folder / name / "snapshot").write_text("more\nrun x\nend\n")
    path = folder / "x.conf"
    path.write_text("ours\n")
    found = shell.first([f"newest {folder}/000001.a", f"remove {path}", "scan"])
    assert (found.complaints, path.exists()) == ({("newest", f"{folder}/000001.a"): "000002.b"}, True)
    assert not shell.first([f"newest {folder}/000002.b", f"remove {path}", "scan"]).complaints
    assert not path.exists()


def test_what_a_power_cut_left_of_a_newer_snapshot_does_not_count_and_goes(shell: Shell, folder: Path) -> None:
    texts = {"a": "more\nrun x\nend\n", "b": "more\nrun y\n", "c": "", "d": "mor", "e": "\0\0\0", "f": "end\n"}
    for number, (name, text) in enumerate(texts.items(), 1):
        made = folder / f"{number:06}.{name}"
        made.mkdir()
        (made / "snapshot").write_text(text)
    assert not shell.first([f"newest {folder}/000001.a", "scan"]).complaints
    assert names_in(folder) == ["000001.a"]


def test_the_node_knows_the_same_words_of_a_snapshot_as_we_do() -> None:
    text = Path(snapshot.__file__).parents[2].joinpath("node/scripts/snapshot.sh").read_text()
    assert f"\nFORMAT={snapshot.FORMAT}\n" in text
    assert f"\nABOUT='{' '.join(snapshot._ABOUT)}'\nITEMS='{' '.join(snapshot._ITEMS)}'\n" in text


@pytest.mark.parametrize("name", sorted(SHELLS.keys() - {"busybox"}))  # its own applets come before our stand-ins
def test_modules_are_unloaded_as_far_as_nobody_uses_them(name: str, tmp_path: Path) -> None:
    """On a list of modules of the test's own: rmmod takes them out of it, and lowers what they used."""
    shell = Shell.named(name, tmp_path)
    listed = tmp_path / "modules"
    listed.write_text("top 1 0 - Live 0x0\nbase 1 1 top, Live 0x0\nheld 1 1 - Live 0x0\nused 1 1 other, Live 0x0\n")
    shell.stub("cat", f'[ "$1" != /proc/modules ] || set -- "{listed}"\nexec /usr/bin/cat "$@"')
    shell.stub(
        "rmmod",
        f'[ "$1" != held ] || {{ echo "rmmod: ERROR: Module held is in use" >&2; exit 1; }}\n'
        f'sed -i -e "/^$1 /d" -e "s/^base 1 1 top,/base 1 0 -/" "{listed}"',
    )
    found = shell.first(["unload base top held used", "scan"])
    assert [line.split()[0] for line in listed.read_text().splitlines()] == ["held", "used"]
    assert found.complaints == {
        ("unload", "held"): "rmmod: ERROR: Module held is in use",
        ("unload", "used"): "in use by other",
    }


def test_neither_a_line_nor_a_file_comes_back_in_a_folder_that_others_can_change(shell: Shell, folder: Path) -> None:
    theirs, ours, copy = folder / "theirs.conf", folder / "ours.conf", folder.parent / "copy"
    theirs.write_text(f"{TAKEN_OVER}a = 1\n")
    copy.write_text("before\n")
    folder.chmod(0o777)
    found = shell.first([f"enable {theirs} 1 a = 1", f"restore {ours} {copy}", "scan"])
    why = f"others than root may write to {folder}"
    assert found.complaints == {("enable", f"{theirs}:1"): why, ("restore", str(ours)): why}
    assert (theirs.read_text(), names_in(folder)) == (f"{TAKEN_OVER}a = 1\n", ["theirs.conf"])


def test_a_fifo_in_the_place_of_a_file_keeps_nobody_waiting(shell: Shell, folder: Path) -> None:
    path, copy = folder / "x.conf", folder / "copy"
    os.mkfifo(path)
    copy.write_text("a = 1\n")
    lines = [f"same {path} {copy}", f"marked {path} 1 a = 1", f"disable {path} 1 a = 1", f"enable {path} 1 a = 1"]
    found = shell.first([*lines, "scan"])
    assert found.confirmed == frozenset()
    assert found.complaints == {(verb, f"{path}:1"): f"{path} is not a file" for verb in ("disable", "enable")}
