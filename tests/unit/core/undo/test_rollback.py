"""Taking back as tables: a node's snapshots in, what to do out; and one whole rollback on a real shell."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.errors import RemoteError
from tasks.core.facts import Facts, Line
from tasks.core.kernel import keys_changed_with
from tasks.core.plan.diff import Plan, Undo
from tasks.core.protocol.lock import LOCK, STORE, ChangeId
from tasks.core.result import NodeResult, Status
from tasks.core.undo import rollback
from tasks.core.undo.snapshot import PriorState, Snapshot, parse_snapshots, prior_state
from tasks.node import orders as instructions
from tasks.node import steps as node
from tasks.node.conversation import Conversation
from tasks.node.rollback import NOTHING, rollback_host
from tests.support.builders import MODULES, SYSCTL, facts, host, profile
from tests.support.shells import Machine, no_namespaces
from tests.unit.node.test_steps import on, work

OURS, OTHER = SYSCTL.format("p"), MODULES.format("p")
LINE = Line("/etc/sysctl.d/x.conf", 2, "a = 1")
real = pytest.mark.skipif(no_namespaces(), reason="no user namespaces here")


def snapshot(number: int, *lines: str, run: str = "") -> list[str]:
    """A snapshot as the node shows it."""
    folder = f"{STORE}/{number:06}.r{number}"
    about = (f"run {run or f'r{number}'}", "verb apply", "by anna@laptop")
    return [f"s{folder}/snapshot:{line}" for line in (*about, *lines, "as admin")]


def read(*shown: list[str]) -> tuple[Snapshot, ...]:
    """Snapshots, as the node shows them, read."""
    return parse_snapshots(facts(history=[line for lines in shown for line in lines]))


# Reading


def test_a_snapshot_is_read_as_it_was_written() -> None:
    (found,) = read(
        snapshot(
            1,
            f"file {OURS}",
            f"absent {OTHER}",
            "folder /etc/modules-load.d",
            "line /etc/sysctl.d/x.conf 2 a = 1",
            "key /proc/sys/net/ipv4/conf/eth0.1/rp_filter 1",
            "key /proc/sys/net/ipv4/tcp_mem 1\t2 3",
            "key /proc/sys/net/ipv4/ip_local_reserved_ports ",
            "nokey /proc/sys/net/bridge/x",
            "module br_netfilter",
        )
    )
    assert (found.path, found.change, found.login) == (
        f"{STORE}/000001.r1",
        ChangeId("r1", "anna@laptop", "apply"),
        "admin",
    )
    assert found.prior_state == PriorState(
        files={OURS: f"{STORE}/000001.r1/{Path(OURS).name}", OTHER: ""},
        folders=("/etc/modules-load.d",),
        lines=(LINE,),
        keys={
            "net.ipv4.conf.eth0/1.rp_filter": "1",
            "net.ipv4.tcp_mem": "1\t2 3",
            "net.ipv4.ip_local_reserved_ports": "",
        },
        created_keys=frozenset({"net.bridge.x"}),
        modules=("br_netfilter",),
    )


def test_an_addition_counts_from_its_end_on() -> None:
    """Three were begun: whole, cut short, whole; and one that a power cut left in pieces."""
    added = ["more", "key /proc/sys/vm/a 1", "end", "more", "key /proc/sys/vm/b 2"]
    torn = ["more", "key /proc/sys/vm/c 3", "end", "more", "key /pr"]
    (found,) = read([*snapshot(1), *(f"s{STORE}/000001.r1/snapshot:{line}" for line in (*added, *torn))])
    assert found.prior_state.keys == {"vm.a": "1", "vm.c": "3"}


@pytest.mark.parametrize("remains", [("more", "run r2", "key /proc/sys/vm/c 3"), ("\0\0\0",), ("", "\ufffd", "more")])
def test_a_snapshot_without_its_end_is_none(remains: tuple[str, ...]) -> None:
    torn = [f"s{STORE}/000002.r2/snapshot:{line}" for line in remains]
    (found,) = read([*snapshot(1), *torn])
    assert found.path == f"{STORE}/000001.r1"


def test_of_two_lines_about_a_thing_the_first_counts() -> None:
    (found,) = read(snapshot(1, f"absent {OURS}", f"file {OURS}", "key /proc/sys/vm/x 1", "key /proc/sys/vm/x 2"))
    assert (found.prior_state.files, found.prior_state.keys) == ({OURS: ""}, {"vm.x": "1"})


@pytest.mark.parametrize(
    "line",
    [
        "file /etc/shadow",
        "absent /etc/sysctl.d/../x.conf",
        "folder /etc",
        "key /etc/passwd x",
        "key /proc/sys/../x 1",
        "module $(reboot)",
        "module a b",
        "line /etc/x y",
        "line relative 1 y",
    ],
)
def test_what_does_not_belong_in_a_snapshot_is_an_error_and_becomes_no_instruction(line: str) -> None:
    with pytest.raises(RemoteError, match="makes no sense"):
        read(snapshot(1, line))


@pytest.mark.parametrize("entry", ["s/etc/passwd:root", "s/var/lib/nodeprep/x/snapshot:run r1", "snonsense"])
def test_what_is_no_snapshot_is_an_error(entry: str) -> None:
    with pytest.raises(RemoteError, match="makes no sense"):
        read([entry])


# Choosing and joining

THREE = tuple(Snapshot(f"{STORE}/{n}", ChangeId(f"2026112{n}-000000-aaaa", "a@b", "apply"), "root") for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("to", "chosen"),
    [
        ("", THREE[2:]),
        ("20261123-000000-aaaa", THREE[2:]),
        ("20261121-000000-aaaa", THREE),
        ("20261124-000000-aaaa", ()),
    ],
    ids=["the newest", "one", "all from it on", "a later run that changed nothing here"],
)
def test_what_is_taken_back(to: str, chosen: tuple[Snapshot, ...]) -> None:
    assert rollback.select_snapshots(THREE, to) == chosen


def test_nothing_is_taken_back_where_there_is_nothing() -> None:
    assert rollback.select_snapshots((), "") == rollback.select_snapshots((), "20261121-000000-aaaa") == ()


def test_a_run_that_is_not_there_and_might_be_meant_otherwise_is_an_error() -> None:
    with pytest.raises(RemoteError, match="no snapshot of run 20261122-111111-aaaa; it has 20261121"):
        rollback.select_snapshots(THREE, "20261122-111111-aaaa")


@pytest.mark.parametrize("found", [THREE, THREE[:1]], ids=["others after it", "the only one"])
def test_a_run_that_was_merged_into_the_oldest_is_told_as_that(found: tuple[Snapshot, ...]) -> None:
    merged = (replace(found[0], until="20261121-080000-aaaa"), *found[1:])
    for run in ("20261121-070000-aaaa", "20261121-080000-aaaa"):
        with pytest.raises(RemoteError, match=f"{run} alone: those from 20261121-000000-aaaa to 20261121-08.* merged"):
            rollback.select_snapshots(merged, run)
    assert rollback.select_snapshots(merged, "20261121-000000-aaaa") == merged
    assert rollback.select_snapshots(merged, "20261124-000000-aaaa") == ()


def test_of_several_snapshots_the_oldest_tells_how_it_was() -> None:
    found = read(
        snapshot(1, "key /proc/sys/vm/x 1", f"absent {OURS}", "module a", "nokey /proc/sys/vm/z"),
        snapshot(2, "key /proc/sys/vm/x 2", "key /proc/sys/vm/y 5", f"file {OURS}", "module b", "key /proc/sys/vm/z 3"),
        snapshot(3, "nokey /proc/sys/vm/y", f"file {OTHER}"),
    )
    assert prior_state(found) == PriorState(
        files={OURS: "", OTHER: f"{STORE}/000003.r3/{Path(OTHER).name}"},
        keys={"vm.x": "1", "vm.y": "5", "vm.z": "3"},
        created_keys=frozenset({"vm.z"}),
        modules=("a", "b"),
    )


@pytest.mark.parametrize(
    ("older", "newer", "past"),
    [
        ("module a", "unloads a", PriorState(modules=("a",))),
        ("unloads a", "module a", PriorState(unloaded=("a",))),
        ("key /proc/sys/vm/x 1", "nokey /proc/sys/vm/x", PriorState(keys={"vm.x": "1"})),
        (
            "nokey /proc/sys/vm/x",
            "key /proc/sys/vm/x 1",
            PriorState(keys={"vm.x": "1"}, created_keys=frozenset({"vm.x"})),
        ),
        (f"absent {OURS}", f"file {OURS}", PriorState(files={OURS: ""})),
        (f"file {OURS}", f"absent {OURS}", PriorState(files={OURS: f"{STORE}/000001.r1/{Path(OURS).name}"})),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_of_what_contradicts_the_older_counts(older: str, newer: str, past: PriorState, together: bool) -> None:
    """In two snapshots, and in one: of two that were merged, or of two passes."""
    found = read(snapshot(1, older, newer)) if together else read(snapshot(1, older), snapshot(2, newer))
    assert prior_state(found) == past


_MODULES, _KEYS, _FILES = ("a", "b"), ("/proc/sys/vm/x", "/proc/sys/vm/y"), (OURS, OTHER)
_LINES = [
    *(f"{kind} {name}" for kind in ("module", "unloads") for name in _MODULES),
    *(f"{kind} {name}" for kind in ("nokey", "absent", "file") for name in (_KEYS if kind == "nokey" else _FILES)),
    *(f"key {name} {value}" for name in _KEYS for value in ("", "1", "2 3")),
    *(f"line /etc/sysctl.d/x.conf {rest}" for rest in ("2 a = 1", "2 a = 1 5", "3 a = 1")),
    "folder /etc/sysctl.d",
]


@real
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


# Planning


def planned(past: PriorState, **node: object) -> tuple[Plan, dict[str, tuple[str, str | None]]]:
    """The plan, and its items by name: status and what is there."""
    plan = rollback.make_plan(past, facts(**node))  # type: ignore[arg-type]
    return plan, {item.name: (str(item.status), item.got) for item in plan.items}


@pytest.mark.parametrize(
    ("past", "node", "item", "undo"),
    [
        ({OURS: "/c"}, {}, ("drift", "changed"), (OURS, "/c")),
        ({OURS: "/c"}, {"holds": [f"same {OURS} /c"]}, ("ok", "as it was"), None),
        ({OURS: ""}, {"absent": [OURS]}, ("ok", None), None),
        ({OURS: ""}, {"hidden": [OURS]}, ("drift", "there"), (OURS, "")),
        ({OURS: ""}, {}, ("drift", "there"), (OURS, "")),
    ],
    ids=["other", "the same", "still absent", "there", "not asked"],
)
def test_files(
    past: dict[str, str], node: dict[str, object], item: tuple[str, str | None], undo: tuple[str, str] | None
) -> None:
    plan, items = planned(PriorState(files=past), **node)
    assert items == {OURS: item}
    assert plan.undo.files == ((undo,) if undo else ())


@pytest.mark.parametrize(
    ("arrived", "now", "item", "set_to"),
    [
        (False, "2", ("drift", "2"), "1"),
        (False, "1", ("ok", "1"), None),
        (False, None, ("skipped", None), None),
        (True, "2", ("drift", "2"), "1"),
        (True, "1", ("ok", "1"), None),
        (True, None, ("ok", None), None),
    ],
)
def test_keys(arrived: bool, now: str | None, item: tuple[str, str | None], set_to: str | None) -> None:
    past = PriorState(keys={"vm.x": "1"}, created_keys=frozenset({"vm.x"} if arrived else ()))
    plan, items = planned(past, values={"vm.x": now} if now else {})
    assert items == {"vm.x": item}
    assert plan.undo.keys == ((("vm.x", set_to),) if set_to else ())


def test_ip_forward_goes_before_what_it_changes_along_with_it() -> None:
    past = PriorState(keys={"net.ipv4.conf.eth0.forwarding": "1", "net.ipv4.ip_forward": "0"})
    plan, _ = planned(past, values={"net.ipv4.conf.eth0.forwarding": "0", "net.ipv4.ip_forward": "1"})
    assert [key for key, _ in plan.undo.keys] == ["net.ipv4.ip_forward", "net.ipv4.conf.eth0.forwarding"]


def test_modules_and_lines_and_folders() -> None:
    gone, still = Line("/etc/x", 1, "b"), Line("/etc/x", 3, "c")
    past = PriorState(modules=("a", "b"), lines=(LINE, gone, still), folders=("/etc/sysctl.d", "/etc/modules-load.d"))
    plan, items = planned(
        past,
        loaded=["a"],
        holds=["marked /etc/sysctl.d/x.conf 2 a = 1", "stands /etc/x 3 c"],
        hidden=["/etc/sysctl.d"],
    )
    assert {name: status for name, (status, _) in items.items()} == {
        "a": "drift",
        "b": "ok",
        "/etc/sysctl.d/x.conf:2": "drift",
        "/etc/x:1": "skipped",
        "/etc/x:3": "ok",
    }
    assert plan.undo == Undo(lines=(LINE,), modules=("a",), folders=("/etc/sysctl.d",))


def test_questions_are_about_files_folders_and_lines() -> None:
    past = PriorState(files={OURS: "/c", OTHER: ""}, folders=("/etc/sysctl.d",), lines=(LINE,))
    assert rollback.probe_instructions(past) == [
        f"same {OURS} /c",
        f"look {OTHER}",
        "look /etc/sysctl.d",
        "marked /etc/sysctl.d/x.conf 2 a = 1",
    ]


def test_orders_put_files_back_first_and_unload_last() -> None:
    plan = Plan(
        (),
        keys=(("vm.x", "1"),),
        undo=Undo(((OURS, "/c"), (OTHER, "")), (LINE,), (("vm.y", "2"),), ("a", "b"), ("/etc/sysctl.d",)),
    )
    assert instructions.apply_instructions(plan) == [
        f"restore {OURS} /c",
        f"remove {OTHER}",
        "enable /etc/sysctl.d/x.conf 2 a = 1",
        "set /proc/sys/vm/y 2",
        "set /proc/sys/vm/x 1",
        "unload a b",
        "rmdir /etc/sysctl.d",
    ]


@pytest.mark.parametrize(
    ("key", "others"),
    [
        ("net.ipv4.ip_forward", ("net.ipv4.conf.*.forwarding", "net.ipv4.conf.all.accept_redirects")),
        ("vm.dirty_bytes", ("vm.dirty_ratio",)),
        ("vm.swappiness", ()),
    ],
)
def test_what_the_kernel_changes_along_with_a_key(key: str, others: tuple[str, ...]) -> None:
    assert keys_changed_with(key) == others


def test_a_snapshot_is_told_in_one_line() -> None:
    items = (("absent", OURS), ("key", "/proc/sys/a 1"), ("key", "/proc/sys/b 2"), ("module", "x"))
    stamp = ChangeId("20261125-021502-a3f1", "anna@laptop", "apply")
    assert rollback.format_snapshot(rollback.summarize_snapshot(Snapshot("/x", stamp, "admin", items))) == (
        "20261125-021502-a3f1  2026-11-25 02:15:02 UTC  apply by anna@laptop (admin): 1 file, 2 keys, 1 module"
    )


# On a real shell


def back(machine: Machine, to: str = "") -> NodeResult:
    return on(
        machine,
        lambda conversation, whom, jobs: rollback_host(to, conversation, whom, jobs),
        work(profile("vm.x = 1\n")),
    )


@real
def test_apply_and_rollback_leave_the_node_as_it_was(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "node", uid=1000, keys={"vm.x": "0", "vm.y": "5\t6"})
    machine.module("br_netfilter", {"net.bridge.x": "0"})
    # A key and a module's entry go as on a kernel: rmmod is the only stand-in.
    machine.program("rmmod", 'grep -v "^$1 " /proc/modules >/m; cat /m >/proc/modules; rm -r /m /proc/sys/net/bridge')
    machine.write("etc/sysctl.d/99-zz-nodeprep-p.conf", "mine, without a newline")
    (machine.root / OURS[1:]).chmod(0o600)
    files = {
        path: (path.read_bytes(), path.stat().st_mode) for path in machine.root.rglob("etc/**/*") if path.is_file()
    }
    jobs = work(profile("vm.x = 1\nvm.y = 7 8\nnet.bridge.x = 1\n", "br_netfilter\n"))
    assert on(machine, node.apply_host, jobs).status is Status.CHANGED
    done = back(machine)
    assert (done.status, {str(item.status) for item in done.items}) == (Status.CHANGED, {"changed"}), done
    assert (machine.key("vm.x"), machine.key("vm.y"), machine.read("proc/modules")) == ("0", "5\t6", "")
    assert {
        path: (path.read_bytes(), path.stat().st_mode) for path in machine.root.rglob("etc/**/*") if path.is_file()
    } == files
    assert not (machine.root / "etc/modules-load.d").exists()
    assert not (machine.root / "var/lib/nodeprep").exists()
    assert back(machine).notes == (NOTHING,)


@real
def test_a_key_that_the_kernel_does_not_give_back_is_told_and_the_snapshot_stays(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "node", keys={"vm.x": "0", "vm.y": "0"})
    jobs = work(profile("vm.x = 1\nvm.y = 1\n"))
    assert on(machine, node.apply_host, jobs).status is Status.CHANGED
    machine.program(
        "tee", 'case $1 in */x) echo "tee: $1: Invalid argument" >&2; exit 1 ;; esac; exec /usr/bin/tee "$1"'
    )
    done = back(machine)
    assert done.status is Status.FAILED
    (wrong,) = (item for item in done.items if item.status not in ("changed", "ok"))
    assert (wrong.name, str(wrong.status), wrong.got) == ("vm.x", "kept-by-kernel", "1")
    assert (machine.key("vm.y"), len(list((machine.root / "var/lib/nodeprep").iterdir()))) == ("0", 1)


@real
def test_nothing_is_taken_back_when_someone_has_changed_the_node_meanwhile(tmp_path: Path) -> None:
    """Between our look and our turn: the newest snapshot is another's now."""
    machine = Machine(tmp_path / "node", keys={"vm.x": "0", "vm.y": "0"})
    assert on(machine, node.apply_host, work(profile("vm.x = 1\n"))).status is Status.CHANGED
    newer = "/var/lib/nodeprep/000002.r2"
    machine.program("sed", f'mkdir -p {newer}; echo run r2 >{newer}/snapshot; exec /usr/bin/sed "$@"')
    done = back(machine)
    assert (done.status, done.problem) == (Status.FAILED, "changed meanwhile by r2: nothing was taken back")
    assert (machine.key("vm.x"), (machine.root / OURS[1:]).exists()) == ("1", True)


@real
def test_a_module_that_is_loaded_again_and_again_does_not_keep_a_rollback_going(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "node")
    machine.module("dummy")
    assert on(machine, node.apply_host, work(profile(None, "dummy\n"))).status is Status.CHANGED
    machine.program("rmmod", "echo again >>/rmmod.log")
    done = back(machine)
    assert (done.status, "dummy" in machine.read("proc/modules")) == (Status.FAILED, True)
    assert len(machine.read("rmmod.log").split()) < 50


@real
def test_what_was_taken_back_is_told_also_when_somebody_changes_the_node_before_the_snapshot_goes(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path / "node", keys={"vm.x": "0"})
    assert on(machine, node.apply_host, work(profile("vm.x = 1\n"))).status is Status.CHANGED
    with machine.open() as channel:
        channel.before(5, lambda: machine.write("var/lib/nodeprep/000002.r2/snapshot", "more\nrun r2\nend\n"))
        done = rollback_host("", Conversation(channel), host(), work(profile("vm.x = 1\n")))
    assert (done.status, machine.key("vm.x")) == (Status.CHANGED, "0")
    assert done.notes[0].startswith("took back: ")
    assert done.notes[-1].endswith("its snapshot could not be thrown away: changed meanwhile by r2")


@real
def test_an_apply_cut_short_is_taken_back_too(tmp_path: Path) -> None:
    """Its shell is killed when the first file is in place."""
    machine = Machine(tmp_path / "node", keys={"vm.x": "0"})
    machine.program("sysctl", "kill -9 $(cut -d' ' -f1 /run/nodeprep.lock)")
    with machine.open() as channel:
        conversation = Conversation(channel)
        with pytest.raises(RemoteError):
            node.apply_host(conversation, host(), work(profile("vm.x = 1\n", "overlay\n")))
    assert (machine.root / OURS[1:]).exists()
    (machine.root / "stub/sysctl").unlink()
    assert back(machine).status is Status.CHANGED
    assert list((machine.root / "etc/sysctl.d").iterdir()) == []
    assert not (machine.root / "var/lib/nodeprep").exists()
