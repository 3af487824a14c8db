"""Files, modules and keys, changed by the real script in real shells."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.places import (
    keep,
    names_in,
)
from tests.support.shells import SHELLS, Shell, run
from tests.support.steps import (
    MARK,
)

AWKWARD = [
    "# a comment – grün, 漢字, \u202e, \U0001f600",
    "",
    "  leading and trailing  ",
    "\ttab",
    "back\\slash \\n \\t \\\\ \\",
    "$(touch pwned) `touch pwned` ${IFS} $HOME $$ $1 $@",
    "per%cent %s %n %%",
    "'single' \"double\" 'open",
    "* ? [a-z] ~ ; & | > /etc/x < >> << EOF",
    "|pipe first",
    "-n",
    "-e \\c",
    "keep /etc/nodeprep-test-must-not-be",
    "scan",
    "",
    "",
    "== list",
    "last",
    "",
]


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o000, 0o777], ids=oct)
def test_a_file_is_kept_to_the_letter_with_mode_0644_under_any_umask(shell: Shell, umask: int, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    path = folder / "x.conf"
    node = shell.first([*keep(path, AWKWARD), "scan"], umask=umask, directory=tmp_path)
    assert path.read_bytes() == "".join(f"{line}\n" for line in AWKWARD).encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names_in(folder) == ["x.conf"]
    assert not (tmp_path / "pwned").exists()
    assert not node.complaints


def test_what_a_killed_session_left_beside_a_file_is_swept_away_and_nothing_else(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "made" / "x.conf"
    path.parent.mkdir()
    kept = ["x.bak", "x.deadbeef", f"x.{'0' * 33}", f"x.{'g' * 32}", f"y.{MARK}"]
    for name in [f"x.{MARK}", *kept]:
        (path.parent / name).touch()
    shell.first([*keep(path, ["a"]), "scan"], directory=tmp_path)
    assert names_in(path.parent) == sorted([*kept, "x.conf"])


def test_a_file_replaces_the_old_one_and_never_follows_a_link(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    victim = folder / "victim"
    victim.write_text("mine")
    path = folder / "x.conf"
    path.symlink_to(victim)
    assert not shell.first([*keep(path, ["a"]), "scan"]).complaints
    assert (path.read_text(), path.is_symlink(), victim.read_text()) == ("a\n", False, "mine")
    path.chmod(0o600)
    shell.first([*keep(path, []), "scan"])
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode), names_in(folder)) == ("", 0o644, ["victim", "x.conf"])


def test_two_files_of_one_request_do_not_run_into_each_other(shell: Shell, tmp_path: Path) -> None:
    one, two = tmp_path / "d" / "one.conf", tmp_path / "d" / "two.conf"
    shell.first([*keep(one, ["1"]), *keep(two, ["2"]), "scan"])
    assert (one.read_text(), two.read_text()) == ("1\n", "2\n")


def test_while_it_is_written_a_file_has_no_name_that_would_be_read_at_boot(dash: Shell, tmp_path: Path) -> None:
    """A sync that shows what is there at that moment stands in for the power cut."""
    dash.stub("sync", f'ls "{tmp_path}/d" >>"{tmp_path}/seen"')
    path = tmp_path / "d" / "x.conf"
    dash.first([*keep(path, ["1"]), "scan"])
    first, *_, last = (tmp_path / "seen").read_text().split()
    assert first.startswith("x.")
    assert not first.endswith(".conf")
    assert last == "x.conf"


def test_a_file_whose_folder_is_a_file_is_reported_and_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "file").write_text("old")
    path = folder / "file" / "x.conf"
    node = shell.first([*keep(path, ["a"]), "scan"])
    assert set(node.complaints) == {("keep", str(path))}
    assert node.complaints["keep", str(path)]
    assert (names_in(folder), (folder / "file").read_text()) == (["file"], "old")


def test_a_file_that_is_a_folder_is_reported_and_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "x.conf"
    path.mkdir(parents=True)
    node = shell.first([*keep(path, ["a"]), "scan"])
    assert "folder" in node.complaints["keep", str(path)]
    assert (names_in(tmp_path / "etc"), names_in(path)) == (["x.conf"], [])


def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    mount = f'mount -t tmpfs -o size=4k,mode=755 none "{folder}" && echo old >"{folder}/x.conf"'
    if run(["unshare", "-rm", "sh", "-c", mount], b"").returncode:
        pytest.skip("no mount namespaces here")
    inside = f'{mount}; sh -c "$0"; ls -A "{folder}"; cat "{folder}/x.conf"'
    full = Shell(shell.folder, ("unshare", "-rm", "sh", "-c", inside))
    path = folder / "x.conf"
    with full.open() as far:
        node = far.begin([*keep(path, ["x" * 4000] * 3), "scan"], changes=True)
        assert far.finish() == (0, b"x.conf\nold\n")
    assert "No space left on device" in node.complaints["keep", str(path)]


def test_a_read_only_place_is_reported(shell: Shell) -> None:
    path = Path("/proc/sys/nodeprep/x.conf")
    assert shell.first([*keep(path, ["a"]), "scan"]).complaints["keep", str(path)]


def test_a_key_that_cannot_be_written_says_why(shell: Shell) -> None:
    there, absent = "/proc/sys/kernel/ostype", "/proc/sys/vm/no_such_key"
    node = shell.first([f"set {there} Minix", f"set {absent} 1", "look /proc/sys/kernel/ostype", "scan"])
    assert "denied" in node.complaints["set", there]
    assert node.complaints["set", absent]
    assert node.key("kernel.ostype") == "Linux"


@pytest.mark.parametrize("name", sorted(SHELLS.keys() - {"busybox"}))  # Debian's busybox prefers its own sysctl
def test_keys_are_set_one_by_one_only_where_sysctl_did_not_do_it(name: str, tmp_path: Path) -> None:
    shell = Shell.named(name, tmp_path)
    shell.stub("sysctl", 'case $2 in *bad) echo "sysctl: no" >&2 ;; esac')

    def value(*lines: str) -> str:
        key = tmp_path / "key"
        key.write_text("old")
        shell.first([*lines, f"set {key} new  value", "scan"])
        return key.read_text()

    assert value() == "new  value\n"
    assert value("sysctl /good") == "old"
    assert value("sysctl /bad") == "new  value\n"
    assert value("sysctl /good", "sysctl /bad") == "new  value\n"
    assert value("sysctl /bad", "sysctl /good") == "new  value\n"
    assert value(f"keep {tmp_path}", "sysctl /good") == "new  value\n"


@pytest.mark.parametrize("name", sorted(SHELLS.keys() - {"busybox"}))
def test_a_module_that_does_not_load_says_why_and_the_next_is_tried(name: str, tmp_path: Path) -> None:
    shell = Shell.named(name, tmp_path)
    shell.stub(
        "modprobe",
        'echo "$1" >>"$LOG"; cat >>"$LOG"\n'
        'case $1 in b*) echo "modprobe: FATAL: $1" >&2; echo >&2; echo "  not found" >&2; exit 1 ;; esac',
    )
    node = shell.first(["load bad", "load good", "scan"], LOG=str(tmp_path / "log"))
    assert node.complaints == {("load", "bad"): "modprobe: FATAL: bad;   not found"}
    assert (tmp_path / "log").read_text() == "bad\ngood\n"


@pytest.mark.parametrize("name", sorted(SHELLS.keys() - {"busybox"}))
@pytest.mark.parametrize(
    ("together", "runs", "complaints"),
    [
        ("exit 0", ["-a a b-c"], {}),
        ("exit 1", ["-a a b-c", "a", "b-c"], {("load", "a"): "no a"}),
        ("echo hm >&2; exit 0", ["-a a b-c", "a", "b-c"], {("load", "a"): "no a"}),
        ('exec cat "$NEVER"', ["-a a b-c", "a", "b-c"], {("load", "a"): "no a"}),
    ],
    ids=["quiet", "fails", "complains", "hangs"],
)
def test_modules_are_loaded_together_and_one_by_one_where_that_is_not_heard_to_succeed(
    name: str, together: str, runs: list[str], complaints: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    shell = Shell.named(name, tmp_path)
    os.mkfifo(tmp_path / "never")
    shell.stub("modprobe", f'echo "$*" >>"$LOG"\ncase $1 in -a) {together} ;; a) echo no a >&2; exit 1 ;; esac')
    lines = ["within 2", "loads a b-c", "load a", "load b-c", "scan"]
    node = shell.first(lines, LOG=str(tmp_path / "log"), NEVER=str(tmp_path / "never"))
    assert (tmp_path / "log").read_text().splitlines() == runs
    assert node.complaints == complaints


@pytest.mark.parametrize("name", sorted(SHELLS.keys() - {"busybox"}))
def test_a_command_that_hangs_is_ended_and_nothing_more_is_tried(name: str, tmp_path: Path) -> None:
    """A fifo that nobody writes to; exec, so that nothing is left behind that would."""
    shell = Shell.named(name, tmp_path)
    os.mkfifo(tmp_path / "never")
    shell.stub("modprobe", f'[ "$1" != hangs ] || exec cat "{tmp_path}/never"\necho "$1" >>"{tmp_path}/log"')
    key = tmp_path / "key"
    key.write_text("old\n")
    node = shell.first(["within 4", "load good", "load hangs", "load more", f"set {key} 1", "scan"])
    assert node.complaints["load", "hangs"] == "no end within 4 s"
    assert node.complaints["load", "more"] == node.complaints["set", str(key)] == "not tried: the time is over"
    assert ((tmp_path / "log").read_text(), key.read_text()) == ("good\n", "old\n")


def test_where_there_is_no_timeout_commands_run_without_one(dash: Shell) -> None:
    dash.stub("busybox", 'echo "timeout: unknown option" >&2; exit 1')
    (dash.folder / "timeout").symlink_to("busybox")
    dash.stub("modprobe", "exit 0")
    assert not dash.first(["within 1", "load x", "scan"]).complaints


def test_a_command_that_is_not_there_is_a_complaint_like_any_other(dash: Shell) -> None:
    node = dash.first(["load no_such_module_at_all", "scan"])
    assert node.complaints["load", "no_such_module_at_all"]


PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


SHELLISH = st.text(st.sampled_from("$`\\\"'(){}[]*?!~#%&|;<>=-+ \tabn0/.,\u00e4"), max_size=40)


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Shell]]:
    folder = tmp_path_factory.mktemp("data")
    yield folder, Shell.named("dash", folder)
    shutil.rmtree(folder)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(PRINTABLE, SHELLISH), max_size=12))
def test_whatever_a_file_holds_arrives_as_it_is(channel: tuple[Path, Shell], lines: list[str]) -> None:
    folder, shell = channel
    path = folder / "kept" / "x.conf"
    node = shell.first([*keep(path, lines), "scan"], directory=folder)
    assert path.read_bytes() == "".join(f"{line}\n" for line in lines).encode()
    assert names_in(path.parent) == ["x.conf"]
    assert names_in(folder) == ["bin", "kept"]
    assert not node.complaints


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SHELLISH.filter(lambda text: text.strip() == text != ""))
def test_whatever_a_key_is_set_to_is_written_as_it_is(channel: tuple[Path, Shell], value: str) -> None:
    folder, shell = channel
    key = folder / "kept" / "key"
    key.parent.mkdir(exist_ok=True)
    shell.first([f"set {key} {value}", "scan"], directory=folder)
    assert key.read_text() == f"{value}\n"
    key.unlink()


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


# Folders that others than root can change: a temporary there could be anybody's


def opened(folder: Path, how: str) -> str:
    """Give a folder to others; what the node says of it."""
    if how == "another user's":
        if os.getuid():
            pytest.skip("only root can give a folder away")
        os.chown(folder, 1234, -1)
        return f"{folder} belongs to user 1234, not to root"
    folder.chmod(0o777 if how == "anybody's" else 0o1777 if how == "sticky" else 0o775)
    return f"others than root may write to {folder}"


HOW = ["anybody's", "a group's", "sticky", "another user's"]


@pytest.mark.parametrize("how", HOW)
def test_a_line_of_a_file_in_a_users_folder_is_left_alone_and_the_folder_is_named(
    shell: Shell, tmp_path: Path, how: str
) -> None:
    """The file is reached through a link in a folder of root's, as admins do it with files in a home."""
    home, link = tmp_path / "home" / "bob", tmp_path / "etc" / "x.conf"
    home.mkdir(parents=True)
    link.parent.mkdir()
    real = home / "x.conf"
    real.write_text("a = 1\n")
    link.symlink_to(real)
    why = opened(home, how)
    found = shell.first([f"disable {link} 1 a = 1", "scan"])
    assert found.complaints == {("disable", f"{link}:1"): why}
    assert (real.read_text(), names_in(home)) == ("a = 1\n", ["x.conf"])


@pytest.mark.parametrize("how", ["anybody's", "a group's", "another user's"])
def test_a_folder_above_counts_too_unless_it_is_sticky(shell: Shell, tmp_path: Path, how: str) -> None:
    real = tmp_path / "bob" / "etc" / "x.conf"
    real.parent.mkdir(parents=True)
    real.write_text("a = 1\n")
    (tmp_path / "bob").chmod(0o1777)
    assert not shell.first([f"disable {real} 1 a = 1", "scan"]).complaints
    real.write_text("a = 1\n")
    (tmp_path / "bob").chmod(0o755)
    why = opened(tmp_path / "bob", how)
    assert shell.first([f"disable {real} 1 a = 1", "scan"]).complaints == {("disable", f"{real}:1"): why}
    assert real.read_text() == "a = 1\n"


@pytest.mark.parametrize("how", HOW)
def test_our_own_files_are_not_written_to_a_folder_that_others_can_change(
    shell: Shell, tmp_path: Path, how: str
) -> None:
    path, other = tmp_path / "etc" / "x.conf", tmp_path / "sound" / "y.conf"
    path.parent.mkdir()
    why = opened(path.parent, how)
    found = shell.first([*keep(path, ["1"])[:-1], *keep(other, ["2"]), "scan"])
    assert found.complaints == {("keep", str(path)): why}
    assert (names_in(path.parent), other.read_text()) == ([], "2\n")


def test_a_folder_that_is_a_link_is_sound_if_the_way_to_it_and_its_end_are(shell: Shell, tmp_path: Path) -> None:
    link, real = tmp_path / "open" / "etc", tmp_path / "real"
    real.mkdir()
    link.parent.mkdir()
    link.symlink_to(real)
    assert not shell.first([*keep(link / "x.conf", ["1"]), "scan"]).complaints
    why = opened(link.parent, "anybody's")
    found = shell.first([*keep(link / "x.conf", ["2"]), "scan"])
    assert found.complaints == {("keep", str(link / "x.conf")): why}
    link.parent.chmod(0o755)
    why = opened(real, "a group's")
    found = shell.first([*keep(link / "x.conf", ["2"]), "scan"])
    assert found.complaints == {("keep", str(link / "x.conf")): why}
    assert (real / "x.conf").read_text() == "1\n"


def test_a_name_of_unusual_characters_on_the_way_is_refused(shell: Shell, tmp_path: Path) -> None:
    real, link = tmp_path / "a b" / "x.conf", tmp_path / "x.conf"
    real.parent.mkdir()
    real.write_text("a = 1\n")
    link.symlink_to(real)
    found = shell.first([f"disable {link} 1 a = 1", "scan"])
    assert found.complaints == {("disable", f"{link}:1"): f"{real.parent} is a name of unusual characters"}
    assert real.read_text() == "a = 1\n"


@pytest.mark.parametrize("what", ["keep", "disable"])
def test_a_link_in_the_place_of_the_temporary_is_not_followed(dash: Shell, tmp_path: Path, what: str) -> None:
    """Planted after the sweep: by an rm that leaves it there."""
    victim, path = tmp_path / "victim", tmp_path / "etc" / "x.conf"
    victim.write_text("secret\n")
    path.parent.mkdir()
    path.write_text("a = 1\n")
    dash.stub("rm", "exit 0")
    lines = keep(path, ["new"]) if what == "keep" else [f"disable {path} 1 a = 1"]
    with dash.open() as far:
        path.with_suffix(f".{far._mark}").symlink_to(victim)
        found = far.begin([*lines, "scan"], changes=True)
        assert far.finish() == (0, b"")
    assert set(found.complaints.values()) == {f"something is in the way beside {path}"}
    assert (victim.read_text(), path.read_text()) == ("secret\n", "a = 1\n")
