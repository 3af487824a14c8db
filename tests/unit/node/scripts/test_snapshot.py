"""Snapshots: the real script in real shells, on files of the test's own."""

from __future__ import annotations

import re
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.errors import ShellEndedError
from tasks.core.facts import Facts
from tasks.core.protocol.lock import LOCK, STORE, change_refusal
from tasks.core.undo.snapshot import PriorState, parse_snapshots, prior_state
from tests.support.builders import MODULES, SYSCTL, facts
from tests.support.places import (
    Place,
    cut_short,
    end,
    filled,
    passes,
)
from tests.support.shells import Machine, Shell
from tests.support.steps import (
    needs_namespaces,
)


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
    assert (oldest[:3], oldest[-1]) == (["more", "until r4", "run r1"], "end")
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
    assert place.text("000001.r1")[:2] == ["more", "until r2"]
    kept = {line for line in place.text("000001.r1") if line.split()[0] in ("key", "more", "end")}
    assert kept == {"more", f"key {place.key} old\tvalue", "key /a 1", "end"}


@pytest.mark.parametrize(("cut", "run", "value"), [("000001.r1", "r2", "r1"), ("000002.r2", "r1", "old\tvalue")])
def test_a_snapshot_that_was_cut_short_makes_way_for_a_whole_one(place: Place, cut: str, run: str, value: str) -> None:
    for number in range(1, 11):
        place.change(f"r{number}")
    cut_short(place, cut)
    place.change("r11")
    assert place.snapshots[:2] == ["000001.r1", "000003.r3"]
    assert {f"run {run}", f"key {place.key} {value}"} <= set(place.text("000001.r1"))
    assert not {"run r1", "run r2"} - {f"run {run}"} & set(place.text("000001.r1"))
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
    assert "No space left on device" in found.complaints[("snapshot", str(place.store))]
    assert (place.key.read_text(), place.file.exists()) == ("old\n", False)


OURS, OTHER = SYSCTL.format("p"), MODULES.format("p")
_MODULES, _KEYS, _FILES = ("a", "b"), ("/proc/sys/vm/x", "/proc/sys/vm/y"), (OURS, OTHER)


_LINES = [
    *(f"{kind} {name}" for kind in ("module", "unloads") for name in _MODULES),
    *(f"{kind} {name}" for kind in ("nokey", "absent", "file") for name in (_KEYS if kind == "nokey" else _FILES)),
    *(f"key {name} {value}" for name in _KEYS for value in ("", "1", "2 3")),
    *(f"line /etc/sysctl.d/x.conf {rest}" for rest in ("2 a = 1", "2 a = 1 5", "3 a = 1")),
    "folder /etc/sysctl.d",
]


@needs_namespaces
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(several=st.lists(st.lists(st.sampled_from(_LINES), max_size=6), min_size=2, max_size=4))
def test_snapshots_that_were_merged_tell_what_they_told_apart(several: list[list[str]], tmp_path: Path) -> None:
    """By a change after them that makes them too many; a file's copy holds the name of its snapshot."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        machine = Machine(Path(folder) / "node", keys={"vm.x": "0"})
        for number, lines in enumerate([*several, *[[]] * 8], 1):
            taken = f"var/lib/nodeprep/{number:06}.r{number}"
            text = "".join(f"{line}\n" for line in (f"run r{number}", *lines))
            machine.write(f"{taken}/snapshot", f"more\n{text}end\n")
            for path in _FILES:
                if f"file {path}" in lines:
                    machine.write(f"{taken}/{Path(path).name}", taken)

        def past(facts: Facts, last: int) -> PriorState:
            found = parse_snapshots(facts)
            assert [snapshot.change.run for snapshot in found[last:]][:8] == [
                f"r{len(several) + n}" for n in range(1, 9)
            ]
            assert found[0].until == ("" if last > 1 else f"r{len(several)}")
            told = prior_state(found[:last])
            return replace(told, files={path: copy and machine.read(copy[1:]) for path, copy in told.files.items()})

        with machine.open() as far:
            apart = past(far.begin([f"history {STORE}", "scan"], changes=True), len(several))
            change = ["note run r", "value /proc/sys/vm/x", f"snapshot {STORE} r", "set /proc/sys/vm/x 1"]
            done = far.again([f"lock {LOCK} apply a@b r", *change, "scan", "finish"], changes=True)
            assert not done.complaints
            assert len(list((machine.root / STORE[1:]).iterdir())) == 10
            merged = past(far.again([f"history {STORE}", "scan"], changes=True), 1)
        assert merged == apart


def test_a_store_that_others_can_change_gets_no_snapshot_and_nothing_is_changed(place: Place) -> None:
    place.store.mkdir(parents=True)
    place.store.chmod(0o777)
    found = place.shell.first(place.lines("r1"))
    assert found.complaints == {("snapshot", str(place.store)): f"others than root may write to {place.store}"}
    assert (place.key.read_text(), place.file.exists(), place.snapshots) == ("old\tvalue\n", False, [])


def test_a_store_behind_a_link_that_a_user_can_move_gets_no_snapshot(place: Place) -> None:
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    (elsewhere / "real").mkdir()
    place.store.parent.mkdir(exist_ok=True)
    place.store.symlink_to(elsewhere / "real")
    found = place.shell.first(place.lines("r1"))
    assert found.complaints == {("snapshot", str(place.store)): f"others than root may write to {elsewhere}"}
    assert (place.key.read_text(), place.file.exists()) == ("old\tvalue\n", False)


@pytest.mark.parametrize("line", ["socket /run/x", "format 3", "format x"])
@pytest.mark.parametrize("which", ["000001.r1", "000002.r2"])
def test_a_snapshot_of_a_newer_version_is_not_merged(place: Place, line: str, which: str) -> None:
    for number in range(1, 11):
        place.change(f"r{number}")
    with (place.store / which / "snapshot").open("a") as file:
        file.write(f"more\n{line}\nend\n")
    before = [place.text(name) for name in ("000001.r1", "000002.r2")]
    place.change("r11")
    assert (place.snapshots[:2], len(place.snapshots)) == (["000001.r1", "000002.r2"], 11)
    assert [place.text(name) for name in ("000001.r1", "000002.r2")] == before
