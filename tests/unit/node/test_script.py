"""The instructions of a plan to the letter, the request that carries them, and the real script in real shells."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.errors import RemoteError
from tasks.core.facts import Facts, ModuleState
from tasks.core.kubeadm.checks import probe_instructions
from tasks.core.ownfiles import RenderedFile
from tasks.core.plan.diff import Plan, Undo
from tasks.core.plan.writers import EVIDENCE_PATHS
from tasks.core.protocol import instructions as instructions_instructions
from tasks.core.protocol.reply import parse_reply
from tasks.node import orders as instructions
from tasks.node import script
from tasks.node.orders import COMMON_PATHS
from tests.support.builders import facts
from tests.support.shells import SHELLS, Shell, needs, run

MARK = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def dash(tmp_path: Path) -> Shell:
    return Shell.named("dash", tmp_path)


# Golden: what is said


def test_a_probe_looks_at_what_is_looked_at_everywhere_and_at_what_is_wanted() -> None:
    lines = instructions.probe(["net.ipv4.ip_forward", "vm.x", "vm.x"], ["br-netfilter", "br_netfilter", "overlay"])
    assert lines == [
        *(f"look {path}" for path in (*COMMON_PATHS, *EVIDENCE_PATHS)),
        "look /proc/sys/net/ipv4/ip_forward",
        "look /proc/sys/vm/x",
        "unit systemd-modules-load.service",
        "unit systemd-sysctl.service",
        "want br_netfilter br[-_]netfilter",
        "want overlay overlay",
        "scan",
    ]


@pytest.mark.parametrize(("unloaded", "uid", "again"), [((), 0, "rescan"), (("ip_vs",), 0, "scan"), ((), 1000, "scan")])
def test_a_second_look_asks_for_modules_anew_where_some_were_unloaded_or_root_may_see_more(
    unloaded: tuple[str, ...], uid: int, again: str
) -> None:
    probe, plan = instructions.probe(["vm.x"], ["overlay"]), Plan((), undo=Undo(modules=unloaded))
    assert instructions.readback_probe(probe, plan, facts(uid=uid)) == [*probe[:-1], again]


def test_what_travels_is_the_script_without_its_comments() -> None:
    """Each line begins as the source's, and what is cut off is a comment: the quotes before it are closed."""
    for path in Path(script.__file__).with_name("scripts").glob("*.sh"):
        source = [line.strip() for line in path.read_text().splitlines()]
        kept = script.script((path.name,)).splitlines()[1:]
        pairs = zip((line for line in source if line and line[0] != "#"), kept, strict=False)
        for line, travels in pairs:
            assert line.startswith(travels)
            assert line == travels or (line[len(travels) :].lstrip()[:2] == "# " and travels.count("'") % 2 == 0)
            assert travels.count('"') % 2 == 0 or line == travels


def test_no_part_of_the_script_takes_the_place_of_another_ones_function() -> None:
    """In one shell there is one function of a name, and the last one counts."""
    parts = [path.read_text() for path in sorted(Path(script.__file__).with_name("scripts").glob("*.sh"))]
    names = [name for part in parts for name in re.findall(r"^(\w+)\(\)", part, re.MULTILINE)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("changes", [False, True])
def test_the_scripts_own_lines_are_counted_and_none_is_empty(changes: bool) -> None:
    """The shell passes over so many words that end with a line: the script's, and the mark."""
    text = script.request(MARK, ["remove /etc/x.conf", "listeners x", "scan"], changes=changes).decode()
    own = text[: text.index(MARK)].splitlines()
    assert own[0] == f"own={len(own) + 1}"
    assert all(own)


def test_a_plan_is_carried_out_in_the_order_that_works() -> None:
    plan = Plan(
        items=(),
        files=(RenderedFile("/etc/a.conf", ("# a", "", "  b")), RenderedFile("/etc/b.conf", ())),
        modules=("ip_vs", "br-netfilter"),
        sysctl_files=("/etc/sysctl.d/a.conf", "/etc/sysctl.d/b.conf"),
        keys=(("net.ipv4.ip_forward", "1"), ("net.ipv4.conf.eth0/1.x", "1 2 3")),
    )
    assert instructions.apply_instructions(plan) == [
        "file /etc/a.conf",
        "|# a",
        "|",
        "|  b",
        "keep /etc/a.conf",
        "file /etc/b.conf",
        "keep /etc/b.conf",
        "placed",
        "loads ip_vs br-netfilter",
        "load ip_vs",
        "load br-netfilter",
        "sysctl /etc/sysctl.d/a.conf",
        "sysctl /etc/sysctl.d/b.conf",
        "set /proc/sys/net/ipv4/ip_forward 1",
        "set /proc/sys/net/ipv4/conf/eth0.1/x 1 2 3",
    ]


def test_an_empty_plan_has_no_instructions() -> None:
    assert instructions.apply_instructions(Plan(())) == []


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
    plain, asking = (script.request(MARK, [*lines, "scan"]).decode() for lines in ([], probe_instructions()))
    for word in ("date +%s", "/boot/config-", "/proc/net/tcp"):
        assert (word in plain, word in asking) == (False, True)
    assert ">" not in text_of(*probe_instructions()).replace("2>/dev/null", "").replace("2>&1", "")


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


# Requests that arrive in part

BOOT = [
    pytest.param(("dash", "-c"), id="dash", marks=needs("dash")),
    pytest.param(("bash", "--posix", "-c"), id="bash --posix", marks=needs("bash")),
    pytest.param(("busybox", "sh", "-c"), id="busybox sh", marks=needs("busybox")),
]


@pytest.mark.parametrize("argv", BOOT)
def test_a_request_cut_short_runs_nothing_of_it(argv: tuple[str, ...], tmp_path: Path) -> None:
    written = tmp_path / "written.conf"
    data = script.request(MARK, [f"file {written}", "|x", f"keep {written}", "placed", "scan"], changes=True)
    boot = script.command(MARK, 0).removeprefix("exec sh -c '").split("'")[0]
    first_mark = data.index(MARK.encode()) + len(MARK)
    for size in (0, 1, len(data) // 2, first_mark - 1, first_mark, first_mark + 9, len(data) - 32, len(data) - 1):
        done = run([*argv, boot, "nodeprep", str(len(data)), MARK], data[:size])
        assert (done.returncode, done.stdout) == (70, b""), size
    assert list(tmp_path.iterdir()) == []
    done = run([*argv, boot, "nodeprep", str(len(data)), MARK], data)
    assert done.returncode == 0
    assert written.read_text() == "x\n"


LOGIN_SHELLS = [
    pytest.param((*name.split(), "-c"), id=name, marks=needs(name.split()[0]))
    for name in ("dash", "bash", "busybox sh", "fish", "tcsh", "csh", "zsh", "ksh", "mksh")
]


@pytest.mark.parametrize("login", LOGIN_SHELLS)
def test_the_command_passes_through_any_login_shell(login: tuple[str, ...], tmp_path: Path) -> None:
    shell = Shell.named("dash", tmp_path, login=login)
    node = shell.first(["look /proc/sys/kernel/ostype", "scan"])
    assert node.key("kernel.ostype") == "Linux"


# The probe, in real shells on this machine

KEYS = [
    "kernel.ostype",
    "kernel.osrelease",
    "kernel.hostname",
    "kernel.pid_max",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.shmmax",
    "kernel.sem",
    "kernel.core_pattern",
    "fs.file-max",
    "vm.max_map_count",
    "vm.overcommit_memory",
    "net.core.somaxconn",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_mem",
    "net.ipv4.conf.lo.arp_announce",
]


def local(key: str) -> str | None:
    """What Python reads of the key."""
    path = Path("/proc/sys") / key.replace(".", "/")
    return " ".join(path.read_text().split()) if path.is_file() else None


def test_the_probe_reads_what_python_reads(shell: Shell) -> None:
    node = shell.first([*instructions.probe([*KEYS, "vm.no_such_key"], ["no_such_module"])], changes=False)
    assert {key: node.key(key) for key in KEYS} == {key: local(key) for key in KEYS}
    assert not node.has_key("vm.no_such_key")
    assert node.module("no_such_module") is ModuleState.MISSING
    assert node.uid == os.getuid()
    seen = node.for_templates()
    assert (seen["kernel"], seen["hostname"]) == (os.uname().release, socket.gethostname())
    assert seen["systemd"] is Path("/run/systemd/system").is_dir()
    assert node.has_module_index is Path(f"/lib/modules/{os.uname().release}").is_dir()


def test_the_probe_lists_the_files_that_python_lists(shell: Shell) -> None:
    node = shell.first(["scan"], changes=False)
    for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib"):
        for kind in ("modules-load.d", "sysctl.d", "modprobe.d"):
            for path in Path(folder, kind).glob("*.conf"):
                found, real = node.files[str(path)], path.lstat()
                assert (found.uid, found.size, found.mode) == (real.st_uid, real.st_size, stat.S_IMODE(real.st_mode))
    os_release = Path("/etc/os-release").read_text().splitlines()
    assert list(node.lines("/etc/os-release")) == [line for line in os_release if line and line[0] != "#"]


def test_the_probe_knows_what_modules_this_kernel_shows(shell: Shell) -> None:
    loaded = Path("/proc/modules")
    names = [line.split()[0] for line in loaded.read_text().splitlines()[:3]] if loaded.exists() else []
    builtin = [path.name for path in Path("/sys/module").iterdir() if not (path / "refcnt").exists()][:3]
    node = shell.first(instructions.probe([], [*names, *builtin]), changes=False)
    assert all(node.module(name) is ModuleState.LOADED for name in names)
    assert all(node.module(name) is ModuleState.BUILTIN for name in builtin)


def test_a_probe_changes_no_file_and_leaves_nothing_behind(shell: Shell, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    shell.first(instructions.probe(["vm.x"], ["overlay"]), changes=False, directory=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_STYLE", "long-iso"),
        ("QUOTING_STYLE", "shell-always"),
        ("BLOCK_SIZE", "human-readable"),
        ("LS_BLOCK_SIZE", "1K"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("GREP_OPTIONS", "--color=always"),
        ("GREP_COLORS", "mt=01;31"),
        ("CDPATH", "/"),
        ("IFS", "/"),
        ("ENV", "/nonexistent"),
        ("b", "x"),
        ("text", "x"),
        ("reply", "u7"),
        ("quiet", "1"),
        ("patterns", "x y"),
    ],
)
def test_what_the_admin_of_a_node_has_exported_does_not_change_the_reply(name: str, value: str, shell: Shell) -> None:
    lines = ["look /proc/sys/kernel/ostype", "want no_such_module no_such_module", "scan"]
    exported: dict[str, Any] = {name: value}
    assert shell.first(lines, changes=False, **exported) == shell.first(lines, changes=False)


def test_options_of_an_older_grep_are_none_of_ours(shell: Shell) -> None:
    """Until 3.5 grep took them from the environment, in each of our calls."""
    shell.stub("grep", 'exec /usr/bin/grep $GREP_OPTIONS "$@"')
    lines = ["look /proc/sys/kernel/ostype", "want no_such_module no_such_module", "scan"]
    found = shell.first(lines, changes=False, GREP_OPTIONS="--color=always")
    assert (found.uid, found.key("kernel.ostype")) == (os.getuid(), "Linux")


def test_more_requests_follow_on_the_same_channel(shell: Shell) -> None:
    with shell.open() as far:
        one = far.begin(["look /proc/sys/kernel/ostype", "scan"])
        two = far.again(["look /proc/sys/kernel/osrelease", "scan"])
        three = far.again(["scan"], changes=True)
    assert one.key("kernel.ostype") == "Linux"
    assert two.key("kernel.ostype") is None
    assert two.kernel == os.uname().release
    assert three.uid == os.getuid()


def test_the_end_of_input_ends_the_script_without_a_word(shell: Shell) -> None:
    with shell.open() as far:
        far.begin(["scan"])
        assert far.finish() == (0, b"")


def test_a_login_shell_may_print_before_the_reply(shell: Shell) -> None:
    chatty = Shell(shell.folder, ("sh", "-c", 'echo "Welcome begin"; echo u7; echo "\\377"; exec sh -c "$0"'))
    assert chatty.first(["look /proc/sys/kernel/ostype", "scan"]).key("kernel.ostype") == "Linux"


# Files, in real shells

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


def keep(path: Path, lines: list[str]) -> list[str]:
    return [f"file {path}", *(f"|{line}" for line in lines), f"keep {path}", "placed"]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o000, 0o777], ids=oct)
def test_a_file_is_kept_to_the_letter_with_mode_0644_under_any_umask(shell: Shell, umask: int, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    path = folder / "x.conf"
    node = shell.first([*keep(path, AWKWARD), "scan"], umask=umask, directory=tmp_path)
    assert path.read_bytes() == "".join(f"{line}\n" for line in AWKWARD).encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert left(folder) == ["x.conf"]
    assert not (tmp_path / "pwned").exists()
    assert not node.complaints


def test_what_a_killed_session_left_beside_a_file_is_swept_away_and_nothing_else(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "made" / "x.conf"
    path.parent.mkdir()
    kept = ["x.bak", "x.deadbeef", f"x.{'0' * 33}", f"x.{'g' * 32}", f"y.{MARK}"]
    for name in [f"x.{MARK}", *kept]:
        (path.parent / name).touch()
    shell.first([*keep(path, ["a"]), "scan"], directory=tmp_path)
    assert left(path.parent) == sorted([*kept, "x.conf"])


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
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode), left(folder)) == ("", 0o644, ["victim", "x.conf"])


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
    assert (left(folder), (folder / "file").read_text()) == (["file"], "old")


def test_a_file_that_is_a_folder_is_reported_and_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "x.conf"
    path.mkdir(parents=True)
    node = shell.first([*keep(path, ["a"]), "scan"])
    assert "folder" in node.complaints["keep", str(path)]
    assert (left(tmp_path / "etc"), left(path)) == (["x.conf"], [])


def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    mount = f'mount -t tmpfs -o size=4k none "{folder}" && echo old >"{folder}/x.conf"'
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


@pytest.mark.parametrize(("remaining", "seconds"), [(60.0, 30), (3.9, 1), (0.01, 1)])
def test_one_command_may_take_half_of_what_is_left(remaining: float, seconds: int) -> None:
    assert instructions_instructions.command_timeout(remaining) == f"within {seconds}"


def test_a_command_that_is_not_there_is_a_complaint_like_any_other(dash: Shell) -> None:
    node = dash.first(["load no_such_module_at_all", "scan"])
    assert node.complaints["load", "no_such_module_at_all"]


# Data is never executed

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
    assert left(path.parent) == ["x.conf"]
    assert left(folder) == ["bin", "kept"]
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


# Replies that are not what they should be


def test_bytes_that_are_no_text_come_through_as_marks(dash: Shell, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"a\xffb\r\n")
    with dash.open() as far:
        assert far.begin([f"look {key}", "scan"]).values[str(key)] == "a\ufffdb\r"


def test_a_script_that_never_answers_is_told_with_what_it_said(tmp_path: Path) -> None:
    closed = Shell(Shell.named("dash", tmp_path).folder, ("sh", "-c", "echo This account is closed; exit 1"))
    with closed.open() as far, pytest.raises(RemoteError, match="This account is closed"):
        far.begin(["scan"])


def test_facts_are_what_the_reply_of_the_script_is_parsed_to(dash: Shell) -> None:
    assert isinstance(dash.first(["scan"]), Facts)
    with pytest.raises(RemoteError):
        parse_reply("")
