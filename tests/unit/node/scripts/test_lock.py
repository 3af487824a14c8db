"""The lock: the real script in real shells."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.places import (
    Place,
    end,
    filled,
    holder,
    kill,
    living,
    taking,
)
from tests.support.shells import Shell


def test_a_session_holds_the_lock_until_it_gives_it_back(place: Place) -> None:
    with place.shell.open() as far, place.shell.open() as other:
        assert not far.begin(place.lines("r1"), changes=True).complaints
        assert not far.again(place.lines("r1"), changes=True).complaints
        assert place.lock.read_text().split()[4:] == ["apply", "anna@laptop", "r1"]
        refused = other.begin([*place.lines("r2"), "finish"], changes=True)
        assert holder(place, refused) == "apply anna@laptop r1"
        assert place.file.read_text() == "r1\n"
        far.again(["scan", "finish"], changes=True)
        assert not place.lock.exists()
        assert not other.again(place.lines("r2"), changes=True).complaints
    assert (place.file.read_text(), place.key.read_text()) == ("r2\n", "r2\n")


@pytest.mark.parametrize("how", ["the connection ends", "TERM", "KILL"])
def test_a_lock_whose_session_is_gone_does_not_block(place: Place, how: str) -> None:
    with place.shell.open() as far:
        assert not far.begin(taking(place, "a"), changes=True).complaints
        assert far.process is not None
        if how == "the connection ends":
            assert far.finish() == (0, b"")
            assert not place.lock.exists()
        else:
            far.process.send_signal(signal.SIGKILL if how == "KILL" else signal.SIGTERM)
            far.process.wait()
    with place.shell.open() as far:
        assert not far.begin(taking(place, "b"), changes=True).complaints
        end(far)
    assert [path.name for path in place.folder.iterdir() if path.name.startswith("lock")] == []


@pytest.mark.parametrize(
    ("pid", "start", "boot"),
    [("1", "1", None), ("self", "1", None), ("self", None, "another-boot"), ("999999999", "1", None), ("x", "y", "z")],
    ids=["another process", "pid used again", "rebooted", "no process", "nonsense"],
)
def test_only_the_same_process_of_the_same_boot_counts_as_its_owner(
    place: Place, pid: str, start: str | None, boot: str | None
) -> None:
    own, mine, booted, _ = living().split()
    owner = own if pid == "self" else pid
    place.lock.write_text(f"{owner} {start or mine} {boot or booted} 00ff apply bob@desk r0\n")
    assert not place.shell.first(taking(place, "a")).complaints


def test_a_living_owner_counts_whatever_process_it_is(place: Place) -> None:
    place.lock.write_text(f"{living()} fix bob@desk r0\n")
    assert holder(place, place.shell.first(taking(place, "a"))) == "fix bob@desk r0"
    assert place.lock.exists()


def test_the_name_of_a_process_does_not_pass_for_its_start(place: Place) -> None:
    """A name may hold a newline, and /proc/PID/stat prints it; any user may have got the PID of a dead owner."""
    code = r"import ctypes; ctypes.CDLL(None).prctl(15, b') 777\n'); print(flush=True); input()"
    booted = living().split()[2]
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as named:
        assert named.stdout is not None
        named.stdout.readline()
        place.lock.write_text(f"{named.pid} 777 {booted} 00ff apply bob@desk r0\n")
        found = place.shell.first(taking(place, "a"))
        named.kill()
    assert not found.complaints


def test_a_lock_can_be_taken_by_force_and_who_lost_it_does_nothing_more(place: Place) -> None:
    with place.shell.open() as far, place.shell.open() as other:
        assert not far.begin(place.lines("r1"), changes=True).complaints
        assert not other.begin([f"unlock {place.lock}", *place.lines("r2")], changes=True).complaints
        assert holder(place, far.again([*place.lines("r3"), "finish"], changes=True)) == "apply anna@laptop r2"
        end(far)
        assert place.lock.exists(), "it is the other's now"
        end(other)
    assert (place.file.read_text(), place.lock.exists()) == ("r2\n", False)


@pytest.mark.parametrize("dead", [0, 1, 3])
def test_of_many_that_come_at_once_one_gets_the_lock(place: Place, dead: int) -> None:
    """Also when the lock they find is that of the dead, and of those who died having succeeded them."""
    for number in range(dead):
        with place.shell.open() as far:
            assert not far.begin(taking(place, f"dead-{number}"), changes=True).complaints
            kill(far)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(place.shell.open()) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            found = list(
                pool.map(lambda pair: pair[1].begin(taking(place, f"a{pair[0]}"), changes=True), enumerate(crowd))
            )
        holders = [holder(place, each) for each in found]
        (winner,) = (number for number, name in enumerate(holders) if not name)
        assert set(holders) == {"", f"apply a{winner} run-of-a{winner}"}
        for far in crowd:
            end(far)
    assert [path.name for path in place.folder.iterdir() if path.name.startswith("lock")] == []


def test_a_folder_in_the_place_of_the_lock_is_no_lock(place: Place) -> None:
    place.lock.mkdir()
    assert "is a folder" in holder(place, place.shell.first(place.lines("r1")))
    assert (list(place.lock.iterdir()), place.key.read_text()) == ([], "old\tvalue\n")


def test_a_lock_whose_maker_was_killed_before_it_wrote_it_blocks_for_a_moment_only(in_dash: Place) -> None:
    place = in_dash
    place.shell.stub("sleep", 'echo "$*" >>"$LOG"')
    place.lock.write_text("")
    log = place.folder / "log"
    with place.shell.open(LOG=str(log)) as far:
        assert not far.begin([*place.lines("r1"), "finish"], changes=True).complaints
    assert (log.read_text(), place.key.read_text()) == ("1\n1\n1\n", "r1\n")
    assert [path.name for path in place.folder.iterdir() if path.name.startswith("lock")] == []


def test_a_lock_that_is_just_being_written_is_somebodys(in_dash: Place) -> None:
    place = in_dash
    place.shell.stub("sleep", f"echo {living()} fix bob@desk r0 >{place.lock}")
    place.lock.write_text("")
    assert holder(place, place.shell.first(taking(place, "a"))) == "fix bob@desk r0"
    assert place.lock.exists()


@pytest.mark.parametrize(
    ("passed", "holder_then"),
    [
        ("{living} fix bob@desk r0\n", "fix bob@desk r0"),
        ("", "being taken"),
        ("1 1 another-boot 00ff fix b@c r0\n", ""),
    ],
    ids=["at work", "taking it", "dead"],
)
def test_who_took_too_long_to_say_who_it_is_finds_that_somebody_has_gone_past_it(
    place: Place, passed: str, holder_then: str
) -> None:
    place.lock.with_name("lock.0").write_text(passed.format(living=living()))
    assert holder(place, place.shell.first([*place.lines("r1"), "finish"])) == holder_then
    assert place.key.read_text() == ("old\tvalue\n" if holder_then else "r1\n")


def test_nobody_but_root_can_write_to_the_lock(place: Place) -> None:
    with place.shell.open(umask=0) as far:
        assert not far.begin(place.lines("r1"), changes=True).complaints
        assert stat.S_IMODE(place.lock.stat().st_mode) == 0o644


def test_a_link_in_the_place_of_the_lock_is_no_lock(place: Place) -> None:
    place.lock.symlink_to(place.folder / "elsewhere")
    assert "is a link" in holder(place, place.shell.first(place.lines("r1")))
    assert (place.snapshots, place.key.read_text(), (place.folder / "elsewhere").exists()) == (
        [],
        "old\tvalue\n",
        False,
    )


def test_where_there_is_no_room_for_the_lock_nothing_is_changed(shell: Shell, tmp_path: Path) -> None:
    place = Place(shell, tmp_path / "full")
    place.folder.mkdir()
    (tmp_path / "key").write_text("old\n")
    lines = [line.replace(str(place.key), str(tmp_path / "key")) for line in place.lines("r1")]
    with filled(shell, place.folder).open() as far:
        found = far.begin(lines, changes=True)
    assert holder(place, found)
    assert (tmp_path / "key").read_text() == "old\n"


def test_where_no_lock_can_be_made_nothing_is_changed(place: Place) -> None:
    lines = [line.replace(str(place.lock), "/proc/sys/no/lock") for line in place.lines("r1")]
    assert place.shell.first(lines).complaints[("lock", "/proc/sys/no/lock")]
    assert (place.snapshots, place.key.read_text()) == ([], "old\tvalue\n")


def test_a_fifo_in_the_place_of_the_lock_is_no_lock(place: Place) -> None:
    os.mkfifo(place.lock)
    assert "is not a file" in holder(place, place.shell.first(place.lines("r1")))
    assert place.key.read_text() == "old\tvalue\n"


@pytest.mark.parametrize("line", ["1", "1 2 3", "x y z w", "1 2 3 00ff a  b c"])
def test_a_lock_of_any_words_is_understood_or_nobodys(place: Place, line: str) -> None:
    place.lock.write_text(f"{line}\n")
    with place.shell.open() as far:
        assert not far.begin([*place.lines("r1"), "finish"], changes=True).complaints
    assert [path.name for path in place.folder.iterdir() if path.name.startswith("lock")] == []
