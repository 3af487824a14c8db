"""A rollback of a whole node on a real shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import RemoteError
from tasks.core.result import Status
from tasks.core.undo.snapshot import FORMAT
from tasks.node import steps as node
from tasks.node.conversation import Conversation
from tasks.node.rollback import NOTHING, rollback_host
from tests.support.builders import MODULES, SYSCTL, host, profile
from tests.support.shells import Machine
from tests.support.steps import (
    back,
    needs_namespaces,
    on,
    work,
)

OURS, OTHER = SYSCTL.format("p"), MODULES.format("p")


@needs_namespaces
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


@needs_namespaces
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


@needs_namespaces
def test_nothing_is_taken_back_when_someone_has_changed_the_node_meanwhile(tmp_path: Path) -> None:
    """Between our look and our turn: the newest snapshot is another's now."""
    machine = Machine(tmp_path / "node", keys={"vm.x": "0", "vm.y": "0"})
    assert on(machine, node.apply_host, work(profile("vm.x = 1\n"))).status is Status.CHANGED
    newer = "/var/lib/nodeprep/000002.r2"
    machine.program("sed", f'mkdir -p {newer}; echo run r2 >{newer}/snapshot; exec /usr/bin/sed "$@"')
    done = back(machine)
    assert (done.status, done.problem) == (Status.FAILED, "changed meanwhile by r2: nothing was taken back")
    assert (machine.key("vm.x"), (machine.root / OURS[1:]).exists()) == ("1", True)


@needs_namespaces
def test_a_module_that_is_loaded_again_and_again_does_not_keep_a_rollback_going(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "node")
    machine.module("dummy")
    assert on(machine, node.apply_host, work(profile(None, "dummy\n"))).status is Status.CHANGED
    machine.program("rmmod", "echo again >>/rmmod.log")
    done = back(machine)
    assert (done.status, "dummy" in machine.read("proc/modules")) == (Status.FAILED, True)
    assert len(machine.read("rmmod.log").split()) < 50


@needs_namespaces
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


@needs_namespaces
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


# Snapshots of each format, as that release left them. Later versions must roll all of them back.

RUN = "20261125-021502-a3f1"
HEAD = {"1": "", "2": "format 2\n"}
TEXT = """more
{head}run 20261125-021502-a3f1
verb apply
by anna@laptop
profile p 0a44e9bb33c9
folder /etc/modules-load.d
absent /etc/modules-load.d/nodeprep-p.conf
file /etc/sysctl.d/99-zz-nodeprep-p.conf
line /etc/sysctl.d/zz-theirs.conf 2 vm.x = 9
nokey /proc/sys/net/bridge/x
key /proc/sys/vm/x 0
key /proc/sys/vm/y 5\t6
module br_netfilter
as root
end
more
key /proc/sys/net/bridge/x 0
end
"""
BEFORE = {
    "etc/sysctl.d/99-zz-nodeprep-p.conf": "mine, no newline",
    "etc/sysctl.d/zz-theirs.conf": "# theirs\nvm.x = 9\n",
}


def left_by(release: str, folder: Path) -> Machine:
    """A node that a release has changed: keys, a module, files, a line of another owner."""
    machine = Machine(folder / "node", keys={"vm.x": "1", "vm.y": "7\t8", "net.bridge.x": "1"})
    machine.module("br_netfilter")
    machine.write("proc/modules", "br_netfilter 16384 0 - Live 0x0\n")
    machine.program("rmmod", 'grep -v "^$1 " /proc/modules >/m; cat /m >/proc/modules; rm -r /m /proc/sys/net/bridge')
    machine.write(f"var/lib/nodeprep/000001.{RUN}/snapshot", TEXT.format(head=HEAD[release]))
    machine.write(f"var/lib/nodeprep/000001.{RUN}/99-zz-nodeprep-p.conf", "mine, no newline")
    machine.write("etc/modules-load.d/nodeprep-p.conf", "br_netfilter\n")
    machine.write("etc/sysctl.d/99-zz-nodeprep-p.conf", "vm.x = 1\nvm.y = 7 8\nnet.bridge.x = 1\n")
    machine.write("etc/sysctl.d/zz-theirs.conf", "# theirs\n# taken over by nodeprep: vm.x = 9\n")
    return machine


def test_there_is_a_node_of_each_format() -> None:
    assert list(HEAD) == [str(number) for number in range(1, FORMAT + 1)]


@needs_namespaces
@pytest.mark.parametrize("release", list(HEAD))
def test_a_change_of_each_released_format_is_taken_back(release: str, tmp_path: Path) -> None:
    machine = left_by(release, tmp_path)
    done = back(machine)
    assert (done.status, {str(item.status) for item in done.items}) == (Status.CHANGED, {"changed"}), done
    assert (machine.key("vm.x"), machine.key("vm.y"), machine.read("proc/modules")) == ("0", "5\t6", "")
    files = {str(path.relative_to(machine.root)): path.read_text() for path in machine.root.glob("etc/*/*.conf")}
    assert files == BEFORE
    assert not (machine.root / "var/lib/nodeprep").exists()


@needs_namespaces
def test_what_a_newer_version_wrote_is_kept_and_the_node_is_left_as_it_is(tmp_path: Path) -> None:
    machine = left_by("2", tmp_path)
    text = TEXT.format(head="format 3\n").replace("as root", "socket /run/x")
    machine.write(f"var/lib/nodeprep/000001.{RUN}/snapshot", text)
    done = back(machine)
    assert (done.status, "is kept" in done.problem) == (Status.FAILED, True)
    assert machine.key("vm.x") == "1"
    assert machine.read(f"var/lib/nodeprep/000001.{RUN}/snapshot") == text


@needs_namespaces
def test_a_value_that_the_kernel_keeps_until_a_reboot_is_told_and_blocks_no_rollback(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "node", keys={"kernel.yama.ptrace_scope": "1", "vm.x": "0"})
    jobs = work(profile("kernel.yama.ptrace_scope = 3\nvm.x = 1\n"))
    done = on(machine, node.apply_host, jobs)
    assert done.status is Status.CHANGED
    assert [item.why for item in done.items if item.name.endswith("scope")] == [
        "was 1; only a reboot takes it back, rollback cannot"
    ]
    machine.program("tee", 'case $1 in */ptrace_scope) echo "tee: Invalid argument" >&2; exit 1 ;; esac; cat >"$1"')
    taken = back(machine)
    (item,) = (item for item in taken.items if item.name.endswith("scope"))
    assert (taken.status, str(item.status), item.got) == (Status.CHANGED, "advisory", "3")
    assert item.why == "stays until the next reboot: the kernel does not go back from 3"
    assert (machine.key("vm.x"), list((machine.root / "etc/sysctl.d").iterdir())) == ("0", [])
    assert not (machine.root / "var/lib/nodeprep").exists()
    assert back(machine).notes == (NOTHING,)
