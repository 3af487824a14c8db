"""Snapshots as a node shows them: read, and joined to the state before the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import RemoteError
from tasks.core.facts import Line
from tasks.core.protocol.lock import STORE, ChangeId
from tasks.core.undo.snapshot import PriorState, prior_state
from tests.support.builders import MODULES, SYSCTL
from tests.support.steps import (
    read_snapshots,
    shown_snapshot,
)

OURS, OTHER = SYSCTL.format("p"), MODULES.format("p")


LINE = Line("/etc/sysctl.d/x.conf", 2, "a = 1")


def test_a_snapshot_is_read_as_it_was_written() -> None:
    (found,) = read_snapshots(
        shown_snapshot(
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
    (found,) = read_snapshots(
        [*shown_snapshot(1), *(f"s{STORE}/000001.r1/snapshot:{line}" for line in (*added, *torn))]
    )
    assert found.prior_state.keys == {"vm.a": "1", "vm.c": "3"}


@pytest.mark.parametrize("remains", [("more", "run r2", "key /proc/sys/vm/c 3"), ("\0\0\0",), ("", "\ufffd", "more")])
def test_a_snapshot_without_its_end_is_none(remains: tuple[str, ...]) -> None:
    torn = [f"s{STORE}/000002.r2/snapshot:{line}" for line in remains]
    (found,) = read_snapshots([*shown_snapshot(1), *torn])
    assert found.path == f"{STORE}/000001.r1"


def test_of_two_lines_about_a_thing_the_first_counts() -> None:
    (found,) = read_snapshots(
        shown_snapshot(1, f"absent {OURS}", f"file {OURS}", "key /proc/sys/vm/x 1", "key /proc/sys/vm/x 2")
    )
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
        read_snapshots(shown_snapshot(1, line))


@pytest.mark.parametrize("entry", ["s/etc/passwd:root", "s/var/lib/nodeprep/x/snapshot:run r1", "snonsense"])
def test_what_is_no_snapshot_is_an_error(entry: str) -> None:
    with pytest.raises(RemoteError, match="makes no sense"):
        read_snapshots([entry])


def test_of_several_snapshots_the_oldest_tells_how_it_was() -> None:
    found = read_snapshots(
        shown_snapshot(1, "key /proc/sys/vm/x 1", f"absent {OURS}", "module a", "nokey /proc/sys/vm/z"),
        shown_snapshot(
            2, "key /proc/sys/vm/x 2", "key /proc/sys/vm/y 5", f"file {OURS}", "module b", "key /proc/sys/vm/z 3"
        ),
        shown_snapshot(3, "nokey /proc/sys/vm/y", f"file {OTHER}"),
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
    found = (
        read_snapshots(shown_snapshot(1, older, newer))
        if together
        else read_snapshots(shown_snapshot(1, older), shown_snapshot(2, newer))
    )
    assert prior_state(found) == past


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("socket /run/x", "a line of a kind that is not known here: 'socket'"),
        ("format 3", "its format is '3', and this version knows up to 2"),
        ("format x", "its format is 'x'"),
        (f"format {'9' * 400}", "its format is"),
    ],
)
def test_a_snapshot_that_this_version_does_not_know_is_refused_and_kept(line: str, why: str) -> None:
    whole = [f"s{STORE}/000002.r2/snapshot:{text}" for text in ("more", line, "run r2", "end")]
    with pytest.raises(RemoteError, match=f"000002.r2 was written by a newer nodeprep and is kept: .*{why}") as caught:
        read_snapshots([*shown_snapshot(1), *whole])
    assert "the version that wrote it" in caught.value.next_step


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_snapshot_of_a_known_format_is_read(number: str) -> None:
    (found,) = read_snapshots(shown_snapshot(1, f"format {number}", "key /proc/sys/vm/x 1"))
    assert found.prior_state.keys == {"vm.x": "1"}
