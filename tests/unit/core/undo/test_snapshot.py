"""The node's lock and its snapshots: the real script in real shells, on files of the test's own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.core.errors import ShellEndedError
from tasks.core.facts import Facts
from tasks.core.protocol.lock import LOCK, STORE, change_refusal, run_time
from tests.support.builders import facts
from tests.support.shells import Process, Shell, run


@dataclass(frozen=True)
class Place:
    """A shell, and where its lock, its snapshots and some files are."""

    shell: Shell
    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def store(self) -> Path:
        return self.folder / "lib" / "nodeprep"

    @property
    def file(self) -> Path:
        return self.folder / "etc" / "ours.conf"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    def lines(self, run: str, *more: str) -> list[str]:
        """A change of the file and the key, under the lock and with a snapshot before it."""
        return [
            f"lock {self.lock} apply anna@laptop {run}",
            f"note run {run}",
            f"save {self.file}",
            f"value {self.key}",
            f"snapshot {self.store} {run}",
            f"file {self.file}",
            f"|{run}",
            f"keep {self.file}",
            "placed",
            f"set {self.key} {run}",
            *more,
            "scan",
        ]

    def change(self, run: str) -> None:
        """One such session, which gives the lock back as the real ones do."""
        with self.shell.open() as far:
            assert not far.begin([*self.lines(run), "finish"], changes=True).complaints
            assert not self.lock.exists()

    @property
    def snapshots(self) -> list[str]:
        """The names of all snapshots, the oldest first."""
        return sorted(path.name for path in self.store.iterdir()) if self.store.exists() else []

    def text(self, name: str) -> list[str]:
        """A snapshot's lines."""
        return (self.store / name / "snapshot").read_text().splitlines()


def made(shell: Shell, folder: Path) -> Place:
    place = Place(shell, folder / "node")
    place.file.parent.mkdir(parents=True)
    place.key.write_text("old\tvalue\n")
    return place


@pytest.fixture
def place(shell: Shell, tmp_path: Path) -> Place:
    return made(shell, tmp_path)


@pytest.fixture
def in_dash(tmp_path: Path) -> Place:
    """Where programs are ours to replace: busybox's shell has some of its own."""
    return made(Shell.named("dash", tmp_path), tmp_path)


def end(far: Process) -> None:
    """The end of a session that still had the lock: the connection ends."""
    assert far.finish() == (0, b"")


def kill(far: Process) -> None:
    """The end that nobody can catch."""
    assert far.process is not None
    os.kill(far.process.pid, signal.SIGKILL)
    far.process.wait()


def holder(place: Place, found: Facts) -> str:
    """Who is said to have the lock; empty if we got it."""
    return found.complaints.get(("lock", str(place.lock)), "")


def taking(place: Place, who: str) -> list[str]:
    return [f"lock {place.lock} apply {who} run-of-{who}", "scan"]


# The lock


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


def living() -> str:
    """The beginning of a lock's line, of a process that lives: this one."""
    mine = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{os.getpid()} {mine} {booted} 00ff"


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


def filled(shell: Shell, folder: Path) -> Shell:
    """The shell, where a folder is a file system without room."""
    mount = f'mount -t tmpfs -o size=8k none "{folder}" && head -c 9000 /dev/zero >"{folder}/x" 2>/dev/null'
    if run(["unshare", "-rm", "sh", "-c", f"{mount}; true"], b"").returncode:
        pytest.skip("no mount namespaces here")
    return Shell(shell.folder, ("unshare", "-rm", "sh", "-c", f'{mount}; sh -c "$0"'))


# The snapshot


def test_a_snapshot_says_how_everything_was_and_is_roots_alone(place: Place) -> None:
    place.file.write_bytes(b"mine\xff\0no newline")
    place.file.chmod(0o640)
    other = place.folder / "made" / "absent.conf"
    lines = place.lines("r1")
    (place.folder / "other-key").write_text("8\n")
    asked = [f"value {place.folder}/{name}" for name in ("oth*", "no")]
    lines[4:4] = [f"save {other}", "line /etc/x.conf 3 a =  b", *asked]
    with place.shell.open(SUDO_USER="admin") as far:
        assert not far.begin(lines, changes=True).complaints
        end(far)
    assert place.snapshots == ["000001.r1"]
    assert place.text("000001.r1") == [
        "more",
        "run r1",
        f"file {place.file}",
        f"folder {other.parent}",
        f"absent {other}",
        "line /etc/x.conf 3 a =  b",
        f"nokey {place.folder}/no",
        f"key {place.key} old\tvalue",
        f"key {place.folder}/other-key 8",
        "as admin",
        "end",
    ]
    copy = place.store / "000001.r1" / "ours.conf"
    assert (copy.read_bytes(), stat.S_IMODE(copy.stat().st_mode)) == (b"mine\xff\0no newline", 0o640)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (place.store, copy.parent, copy.parent / "snapshot")}
    assert list(modes.values()) == [0o700, 0o700, 0o600]


def passes(place: Place, between: Callable[[], None]) -> Path:
    """A session of two passes, and what comes between them; the key that only the second one knows."""
    place.file.write_text("first\n")
    late = place.folder / "late"
    with place.shell.open() as far:
        assert not far.begin([*place.lines("r1"), "finish"], changes=True).complaints
        between()
        late.write_text("7\n")
        lines = [*place.lines("r1"), "finish"]
        lines[4:4] = [f"value {late}"]
        assert not far.again(lines, changes=True).complaints
    return late


def test_a_second_pass_adds_what_it_finds_and_keeps_how_it_was(place: Place) -> None:
    late = passes(place, lambda: None)
    added = [f"key {place.key} old\tvalue", "as root", "end", "more", f"key {late} 7", "end"]
    assert place.text("000001.r1")[-6:] == added
    assert (place.store / "000001.r1" / "ours.conf").read_text() == "first\n"


def test_a_second_pass_after_somebody_elses_change_has_a_snapshot_of_its_own(place: Place) -> None:
    late = passes(place, lambda: place.change("r2"))
    assert place.snapshots == ["000001.r1", "000002.r2", "000003.r1"]
    whole = ["more", "run r1", f"file {place.file}", f"key {place.key} r2", f"key {late} 7", "as root", "end"]
    assert sorted(place.text("000003.r1")) == sorted(whole)
    assert (place.store / "000003.r1" / "ours.conf").read_text() == "r2\n"


def test_a_second_pass_after_a_first_that_changed_nothing_has_the_only_snapshot(place: Place) -> None:
    nothing = [line for line in place.lines("r1") if line.split()[0] not in ("keep", "set")]
    with place.shell.open() as far:
        assert not far.begin([*nothing, "finish"], changes=True).complaints
        assert not place.store.exists()
        assert not far.again([*place.lines("r1"), "finish"], changes=True).complaints
    assert place.text("000001.r1") == [
        "more",
        "run r1",
        f"absent {place.file}",
        f"key {place.key} old\tvalue",
        "as root",
        "end",
    ]


def test_a_link_in_the_place_of_our_file_is_kept_as_a_link(place: Place) -> None:
    place.file.symlink_to("nowhere")
    place.change("r1")
    assert (place.store / "000001.r1" / "ours.conf").readlink() == Path("nowhere")


def test_a_session_that_changes_nothing_leaves_no_snapshot(place: Place) -> None:
    lines = [line for line in place.lines("r1") if line.split()[0] not in ("keep", "set")]
    with place.shell.open() as far:
        far.begin(lines, changes=True)
        assert place.snapshots == ["000001.r1"]
        end(far)
    assert not place.store.exists()


def test_also_a_line_commented_out_behind_a_link_is_a_change(place: Place) -> None:
    real, link = place.folder / "real.conf", place.folder / "link.conf"
    real.write_text("a = 1\n")
    link.symlink_to(real)
    with place.shell.open() as far:
        lines = [f"line {link} 1 a = 1", f"snapshot {place.store} r1", f"disable {link} 1 a = 1", "scan"]
        assert not far.begin([f"lock {place.lock} apply a@b r1", *lines], changes=True).complaints
        end(far)
    assert place.text("000001.r1") == ["more", f"line {link} 1 a = 1", "as root", "end"]


def test_ten_are_kept_and_the_oldest_into_which_others_were_merged_still_tells_how_the_node_was_at_first(
    place: Place,
) -> None:
    place.file.write_text("first\n")
    second = place.folder / "second.conf"
    for number in range(1, 14):
        with place.shell.open() as far:
            lines = place.lines(f"r{number}")
            if number > 1:
                lines[4:4] = [f"save {second}"]
                second.write_text(f"before {number}\n")
            assert not far.begin(lines, changes=True).complaints
            end(far)
    assert place.snapshots == ["000001.r1", *(f"{number:06}.r{number}" for number in range(5, 14))]
    oldest = place.text("000001.r1")
    assert oldest[:2] == ["until r4", "run r1"]
    assert f"key {place.key} old\tvalue" in oldest
    assert len([line for line in oldest if line.startswith(("key", "run"))]) == 2
    folder = place.store / "000001.r1"
    assert ((folder / "ours.conf").read_text(), (folder / "second.conf").read_text()) == ("first\n", "before 2\n")


def test_what_a_power_cut_left_of_an_addition_is_not_taken_over_by_the_oldest(place: Place) -> None:
    for number in range(1, 11):
        place.change(f"r{number}")
    for name, added in (("000001.r1", "more\nkey /a 1\nend\nmore\nkey /b 2\n"), ("000002.r2", "more\nkey /c 3\n")):
        with (place.store / name / "snapshot").open("a") as file:
            file.write(added)
    place.change("r11")
    assert place.snapshots[:2] == ["000001.r1", "000003.r3"]
    assert place.text("000001.r1")[0] == "until r2"
    kept = {line for line in place.text("000001.r1") if line.split()[0] in ("key", "more", "end")}
    assert kept == {f"key {place.key} old\tvalue", "key /a 1"}


def cut_short(place: Place, name: str) -> None:
    """A snapshot as a power cut may leave it."""
    text = place.store / name / "snapshot"
    text.write_text("".join(f"{line}\n" for line in place.text(name)[:-2]))
    (text.parent / "ours.conf").write_text("torn")


@pytest.mark.parametrize(("cut", "run", "value"), [("000001.r1", "r2", "r1"), ("000002.r2", "r1", "old\tvalue")])
def test_a_snapshot_that_was_cut_short_makes_way_for_a_whole_one(place: Place, cut: str, run: str, value: str) -> None:
    for number in range(1, 11):
        place.change(f"r{number}")
    cut_short(place, cut)
    place.change("r11")
    assert place.snapshots[:2] == ["000001.r1", "000003.r3"]
    assert {f"run {run}", f"key {place.key} {value}"} <= set(place.text("000001.r1"))
    assert not {"run r1", "run r2", "more"} - {f"run {run}"} & set(place.text("000001.r1"))
    assert f"{'absent' if run == 'r1' else 'file'} {place.file}" in place.text("000001.r1")
    copy = place.store / "000001.r1" / "ours.conf"
    assert (copy.read_text() if copy.exists() else "") == ("" if run == "r1" else "r1\n"), (
        "a copy that nobody tells of is none"
    )


def test_nothing_is_changed_before_its_snapshot_is_on_the_disk(tmp_path: Path) -> None:
    shell = Shell.named("dash", tmp_path)
    place = Place(shell, tmp_path / "node")
    for folder in (place.file.parent, place.folder / "other"):
        folder.mkdir(parents=True)
    place.key.write_text("old\n")
    late = place.folder / "late"
    late.write_text("7\n")
    shell.stub("sync", f'{{ echo "$*"; cat "{place.file}" "{place.key}" "{late}" 2>&1; }} >>"$LOG"; true')
    lines = place.lines("r1")
    lines[-2:-2] = [f"value {late}", f"snapshot {place.store} r1", f"set {late} 8"]
    log = tmp_path / "log"
    with shell.open(LOG=str(log)) as far:
        assert not far.begin([*lines, "finish"], changes=True).complaints
    said = re.sub(r"\b[0-9a-f]{32}\b", "MARK", log.read_text()).splitlines()
    taken = f"{place.store}/000001.r1/snapshot {place.store}/000001.r1 {place.store}"
    staged = place.file.with_suffix(".MARK")
    assert said == [
        f"{taken} {staged}",
        f"cat: {place.file}: No such file or directory",
        "old",
        "7",
        f"{taken} {place.file.parent}",
        "r1",
        "old",
        "7",
    ]


def test_copies_are_on_the_disk_before_the_text_that_tells_of_them(in_dash: Place) -> None:
    place = in_dash
    place.file.write_text("mine\n")
    taken = place.store / "000001.r1"
    place.shell.stub("sync", f'{{ echo "$*"; ls "{taken}"; }} >>"$LOG"; true')
    log = place.folder / "log"
    with place.shell.open(LOG=str(log)) as far:
        assert not far.begin([*place.lines("r1"), "finish"], changes=True).complaints
    first, listed, second, *_ = log.read_text().splitlines()
    assert (first, listed) == (f"{taken}/ours.conf {taken}", "ours.conf")
    assert second.startswith(f"{taken}/snapshot {taken} {place.store} ")


@pytest.mark.parametrize("existing", [False, True])
def test_what_does_not_reach_the_disk_is_no_snapshot_and_nothing_is_changed(in_dash: Place, existing: bool) -> None:
    place = in_dash
    if existing:
        place.file.write_text("mine\n")
    place.shell.stub("sync", "exit 1")
    found = place.shell.first([*place.lines("r1"), "finish"])
    assert found.complaints == {("snapshot", str(place.store)): "sync has failed"}
    assert change_refusal(facts(complaints=[f"snapshot {STORE} 1 sync has failed"])) is not None
    assert (place.key.read_text(), place.file.exists(), place.snapshots) == ("old\tvalue\n", existing, [])
    assert [path.name for path in place.file.parent.iterdir()] == (["ours.conf"] if existing else [])
    assert not place.lock.exists()


def test_what_does_not_reach_the_disk_later_keeps_keys_from_being_set_and_the_snapshot(in_dash: Place) -> None:
    place = in_dash
    late = place.folder / "late"
    late.write_text("7\n")
    place.shell.stub("sync", f'[ ! -e "{place.file}" ]')
    lines = place.lines("r1")
    lines[-2:-2] = [f"value {late}", f"snapshot {place.store} r1"]
    found = place.shell.first([*lines, "finish"])
    assert found.complaints == {("extend", str(place.store)): "sync has failed"}
    assert (place.key.read_text(), place.file.read_text(), place.snapshots) == ("old\tvalue\n", "r1\n", ["000001.r1"])


def test_several_files_are_flushed_together_and_each_is_reported_by_itself(tmp_path: Path) -> None:
    shell = Shell.named("dash", tmp_path)
    shell.stub("sync", 'echo "$*" >>"$LOG"')
    one, two, folder = (tmp_path / "etc" / name for name in ("one.conf", "two.conf", "three.conf"))
    folder.mkdir(parents=True)
    files = [line for path in (one, two, folder) for line in (f"file {path}", "|x", f"keep {path}")]
    lines = [f"lock {tmp_path}/lock apply a@b r1", *files, "placed", "scan", "finish"]
    found = shell.first(lines, LOG=str(tmp_path / "log"))
    assert (one.read_text(), two.read_text(), list(folder.iterdir())) == ("x\n", "x\n", [])
    assert found.complaints.keys() == {("keep", str(folder))}
    flushed = re.sub(r"\b[0-9a-f]{32}\b", "MARK", (tmp_path / "log").read_text()).splitlines()
    etc = one.parent
    assert flushed == [f"{etc}/one.MARK {etc}/two.MARK", f"{etc} {etc}"]
    assert sorted(path.name for path in one.parent.iterdir()) == ["one.conf", "three.conf", "two.conf"]


def test_without_a_snapshot_nothing_is_written(place: Place) -> None:
    place.store.parent.write_text("a file where the folder should be")
    found = place.shell.first(place.lines("r1"))
    assert found.complaints[("snapshot", str(place.store))]
    assert (place.file.exists(), place.key.read_text()) == (False, "old\tvalue\n")


def test_what_a_cut_left_of_a_snapshot_is_none(tmp_path: Path) -> None:
    """Killed when its folder was there, and nothing in it."""
    shell = Shell.named("dash", tmp_path)
    place = Place(shell, tmp_path)
    place.file.parent.mkdir()
    place.key.write_text("old\n")
    shell.stub("mkdir", '/bin/mkdir "$@"; kill -9 $PPID')
    with shell.open() as far, pytest.raises(ShellEndedError):
        far.begin(place.lines("r1"), changes=True)
    assert (place.file.exists(), place.key.read_text(), place.snapshots) == (False, "old\n", ["000001.r1"])
    (shell.folder / "mkdir").unlink()
    place.change("r2")
    assert place.snapshots == ["000001.r2"]


def test_a_full_disk_is_said_and_nothing_is_changed(shell: Shell, tmp_path: Path) -> None:
    place = Place(shell, tmp_path)
    (tmp_path / "lib").mkdir()
    place.key.write_text("old\n")
    with filled(shell, tmp_path / "lib").open() as far:
        found = far.begin(place.lines("r1"), changes=True)
        assert far.finish() == (0, b"")
    assert found.complaints[("snapshot", str(place.store))]
    assert (place.key.read_text(), place.file.exists()) == ("old\n", False)


# What a refusal is told as


@pytest.mark.parametrize(
    ("complaint", "problem", "step"),
    [
        (
            f"lock {LOCK} 1 apply anna@laptop 20261125-021502-a3f1",
            "locked by anna@laptop: apply since 2026-11-25 02:15:02 UTC",
            "--force-unlock",
        ),
        (f"lock {LOCK} 1 is a folder", f"{LOCK}: is a folder", "--force-unlock"),
        (f"snapshot {STORE} 1 mkdir: No space left", "nothing was changed: mkdir: No space left", "make room"),
    ],
)
def test_a_node_that_does_not_let_us_change_it_says_why(complaint: str, problem: str, step: str) -> None:
    error = change_refusal(facts(complaints=[complaint]))
    assert error is not None
    assert problem in error.problem
    assert step in error.next_step


def test_a_node_that_lets_us_says_nothing() -> None:
    assert change_refusal(facts(complaints=["load ip_vs 1 no"])) is None


@pytest.mark.parametrize(
    ("run", "time"), [("20261125-021502-a3f1", "2026-11-25 02:15:02 UTC"), ("r1", ""), ("20261125-021502", "")]
)
def test_a_runs_name_tells_its_time(run: str, time: str) -> None:
    assert run_time(run) == time
