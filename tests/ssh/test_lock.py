"""Two admins at once on one node: one applies, the other is told who holds it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import fabric
import pytest

from lab.fleet.fleet import Fleet
from lab.fleet.tools import wait_until
from tasks.core.facts import Facts
from tasks.core.host import Host, HostKeys, SshOptions
from tasks.core.profile.profile import Profile
from tasks.core.profile.template import Source
from tasks.core.protocol.lock import LOCK, ChangeId
from tasks.core.result import NodeResult, Status
from tasks.fleet.engine import Job, run_on_host
from tasks.node import steps as node
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation
from tasks.ssh.route import Access
from tests.ssh.suite import Suite

ROUNDS = 50
# What the fleet's modprobe runs when it loads the module: says so, and waits at the gate.
ON_LOAD = "echo begin >>/loads; read -r _ </gate; echo end >>/loads\n"
PROFILE = Profile("p", Source("p", "overlay\n", template=False), None)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(8) as eight:
        yield eight


class Meeting(Conversation):
    """A conversation that waits before its first change until the others have looked, too."""

    def __init__(self, conversation: Conversation, start: Barrier) -> None:
        super().__init__(conversation.channel)
        self.start: Barrier | None = start

    def change(self, lines: Sequence[str], host: Host, facts: Facts, work: StepContext) -> Facts:
        """The same, once they are there."""
        if self.start:
            self.start.wait(30)
            self.start = None
        return super().change(lines, host, facts, work)


def admin(fleet: Fleet, address: str, name: str, start: Barrier) -> NodeResult:
    """One admin's apply, in this process: it changes the node when the others are about to."""
    ssh = SshOptions((str(fleet.client / "id_ed25519"),), (str(fleet.client / "known_hosts"),), HostKeys.STRICT)
    host = Host("n", address, fleet.port, "root", ssh=ssh)
    work = StepContext({"n": (PROFILE,)}, change=ChangeId("20261125-021502-a3f1", f"{name}@desk", "apply"))

    def together(conversation: Conversation, host: Host, work: StepContext) -> NodeResult:
        return node.apply_host(Meeting(conversation, start), host, work)

    return run_on_host(Job(together, work, Access.of(fabric.Config(), None), 30), host)


@contextmanager
def gate(fleet: Fleet, host: str) -> Iterator[int]:
    """A fifo on a node where its modprobe waits; it is opened so that neither side's open waits."""
    path = fleet.path(host, "/") / "gate"
    os.mkfifo(path)
    opened = os.open(path, os.O_RDWR)
    try:
        yield opened
    finally:
        os.close(opened)


def test_of_two_admins_at_once_one_applies_and_the_other_is_told_who_does(fleet: Fleet, unused: Iterator[str]) -> None:
    """Fifty times: the first waits in the middle of its apply until the second has its answer."""
    host = next(unused)
    fleet.write(host, "/usr/share/nodeprep-fleet/modules/overlay", ON_LOAD)
    fresh, seen = fleet.read(host, "/proc/modules"), fleet.path(host, "/sys/module/overlay")
    seen.mkdir(parents=True)
    with gate(fleet, host) as opened, ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            fleet.write(host, "/proc/modules", fresh)
            seen.rmdir()
            start = Barrier(2)
            both = {name: pool.submit(admin, fleet, host, name, start) for name in ("anna", "bob")}
            try:
                told, _ = wait(both.values(), 30, FIRST_COMPLETED)
            finally:
                os.write(opened, b"go\n")
            assert_one_each(both, told)
    assert fleet.read(host, "/loads").split() == ["begin", "end"] * ROUNDS
    assert not fleet.path(host, "/run/nodeprep.lock").exists()


def assert_one_each(runs: dict[str, Future[NodeResult]], told: set[Future[NodeResult]]) -> None:
    """Who has its answer first was refused, with the other's name; the other has changed the node."""
    (winner,) = (name for name, future in runs.items() if future not in told)
    (loser,) = (future.result() for future in told)
    assert runs[winner].result(30).status is Status.CHANGED, runs[winner].result()
    assert (loser.status, loser.problem) == (
        Status.FAILED,
        f"locked by {winner}@desk: apply since 2026-11-25 02:15:02 UTC",
    )
    assert "--force-unlock" in loser.next_step


def hold(suite: Suite, host: str, *, boot: str = "") -> Path:
    """A lock of a process that lives as long as the fleet; its path as this process can open it."""
    pid = suite.fleet.server
    start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    boot = boot or suite.fleet.read(host, "/proc/sys/kernel/random/boot_id").strip()
    path = suite.fleet.path(host, "/run") / LOCK.rpartition("/")[2]
    path.write_text(f"1 {start} {boot} 00ff apply bob@desk 20261125-021502-a3f1\n")
    return path


def test_a_locked_node_is_failed_and_untouched_and_the_others_go_on(suite: Suite) -> None:
    locked, _ = suite.fresh("locked", user="admin"), suite.fresh("free")
    path, before = hold(suite, locked), suite.fleet.snapshot(locked)
    done = suite.json("apply")
    assert (done.code, done.statuses) == (4, {"locked": "failed", "free": "changed"})
    assert "locked by bob@desk: apply since 2026-11-25 02:15:02 UTC" in done.problem("locked")
    assert suite.fleet.snapshot(locked) == before
    assert path.exists()


def test_reading_asks_for_no_lock(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    hold(suite, host)
    assert suite.json("plan").statuses == {"n": "drift"}
    assert suite.json("verify").statuses == {"n": "drift"}


def test_force_unlock_and_a_reboot_open_a_lock(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    path = hold(suite, host)
    assert suite.json("apply", "--force-unlock").statuses == {"n": "changed"}
    assert not path.exists()
    hold(suite, host, boot="an-earlier-boot")
    assert suite.json("fix", "vm.swappiness=10").statuses == {"n": "changed"}
    assert not path.exists()


def waits(fleet: Fleet, host: str) -> None:
    """Until a node's modprobe waits at the gate."""
    log = fleet.path(host, "/") / "loads"
    wait_until(lambda: log.exists() and log.read_text().endswith("begin\n"), "its modprobe did not begin")


def test_a_node_whose_admin_vanished_finishes_and_opens_its_lock(suite: Suite) -> None:
    """fab is killed in the middle of an apply."""
    host = suite.fresh("n", user="admin")
    suite.fleet.write(host, "/usr/share/nodeprep-fleet/modules/overlay", ON_LOAD)
    lock = suite.fleet.path(host, "/run") / "nodeprep.lock"
    with gate(suite.fleet, host) as opened:
        process = suite.start(suite.command("apply"))
        try:
            waits(suite.fleet, host)
        finally:
            process.kill()
            process.communicate()
        assert lock.exists()
        os.write(opened, b"go\n")
        wait_until(lambda: not lock.exists(), "its lock was not opened")
    assert suite.json("verify").code == 0
    assert suite.json("apply").statuses == {"n": "ok"}


def test_a_module_that_hangs_is_named_before_the_run_gives_up(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    suite.fleet.write(host, "/usr/sbin/modprobe", "#!/bin/sh\nread -r _ </gate\n")
    with gate(suite.fleet, host):
        done = suite.json("fix", "overlay", "--timeout", "20")
    assert (done.code, done.statuses) == (4, {"n": "failed"}), done.text
    assert "no end within" in done.items("n", wrong=True)["overlay"]["why"]
    assert not (suite.fleet.path(host, "/run") / "nodeprep.lock").exists()
