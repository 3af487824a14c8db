"""Faults on real kernels and real disks: the plug is pulled in the middle of an apply, the kernel refuses a value or
makes another of it, the disk is read-only. Files are old or new, the report is true, the next apply puts the node
right, and rollback takes all of it back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.vm.lab import Lab, run_together
from lab.vm.node import Node
from tests.lab.suite import MODULES, SYSCTL, LabSuite
from tests.lab.test_rollback import everything
from tests.ssh.breakpoints import NAMES, before, plain
from tests.ssh.faults import reported
from tests.ssh.suite import FAB, ROOT, Completed
from tests.support import fault_table
from tests.support.fault_table import Row

pytestmark = [pytest.mark.lab, pytest.mark.full]
OURS = (MODULES, SYSCTL)
STOPPED = "nodeprep-test: stopped at"
# At its step the node says so on its console, and waits for the end.
SCRIPT = before(f'echo "{STOPPED} $step" >/dev/ttyS0; exec sleep 1000')
INSTALL = f"""
mount -t tmpfs tmpfs /usr/local/bin || exit
cat >/usr/local/bin/.before
for name in {" ".join(NAMES.split())}; do
  [ ! -x "/usr/bin/$name" ] && [ ! -x "/usr/sbin/$name" ] || cp /usr/local/bin/.before "/usr/local/bin/$name"
done
chmod 755 /usr/local/bin/*
mkdir -p -m 777 /run/stops
chmod 666 /dev/ttyS0
"""
# Where a cut could tear something: before each flush and each rename, the modules and the keys, and before the lock is
# given back. `make test-full` takes every command.
TENDER = ("sync /var/lib/nodeprep", "mv ", "modprobe -a", "sysctl -p", "rm -f /run/nodeprep.lock")
# Keys that each boot computes anew from the memory that is free then.
BY_MEMORY = (
    "net.ipv4.tcp_rmem ",
    "net.ipv4.tcp_wmem ",
    "net.ipv4.inet_peer_threshold ",
    "vm.admin_reserve_kbytes ",
    "vm.user_reserve_kbytes ",
)


def arm(node: Node, step: int) -> None:
    """Puts the stops on a node; those of an earlier boot went with it."""
    done = node.run(f"{INSTALL}\necho 0 >/run/stops/step; : >/run/stops/log; chmod 666 /run/stops/*", stdin=SCRIPT)
    assert done.returncode == 0, done.stderr
    assert node.run(f"echo {step} >/run/stops/at").returncode == 0


def commands(suite: LabSuite) -> list[str]:
    """All commands of an apply of a fresh node; it is fresh again afterwards."""
    node = suite.lab.nodes[0]
    arm(node, 0)
    assert suite.fab("apply", on=node.name).statuses == {node.name: "changed"}
    log = 'while read -r line; do echo "$line"; done </run/stops/log'  # by the shell alone, or it would be counted, too
    steps = plain(node.run(f": >/run/stops/at; {log}; umount /usr/local/bin; rm -r /run/stops").stdout)
    assert steps.pop().startswith("uname ")  # each login's message of the day asks, also that of who reads the log
    take_back(suite, [node])
    return steps


def cut(suite: LabSuite, steps: Mapping[str, int]) -> Completed:
    """An apply of all nodes, each of which loses its power at its step; and what fab said."""
    consoles = {node.name: node.console.stat().st_size for node in suite.lab.nodes}
    nodes = {node.name: node for node in suite.lab.nodes}
    words = ["--timeout", "200", "--format", "json", "--inventory", str(suite.inventory())]
    command = [FAB, "-H", ",".join(steps), "apply", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            end = time.monotonic() + 200
            waiting = dict(steps)
            while waiting:
                assert time.monotonic() < end, f"never came to their step: {waiting}"
                for name, step in list(waiting.items()):
                    if f"{STOPPED} {step}".encode() in nodes[name].console.read_bytes()[consoles[name] :]:
                        nodes[name].kill()
                        del waiting[name]
                time.sleep(0.02)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return Completed(process.returncode, out, err)


def files(node: Node) -> dict[str, str]:
    """What lies in the folders that we write to: path -> mode and checksum."""
    lines = node.run("cd / && find etc/sysctl.d etc/modules-load.d -type f -exec stat -c '%n %a' {} + -exec cksum {} +")
    found: dict[str, str] = {}
    for line in lines.stdout.splitlines():
        words = line.split()
        name, what = (words[-1], " ".join(words[:-1])) if len(words) == 3 else (words[0], words[1])
        found[f"/{name}"] = f"{found.get(f'/{name}', '')} {what}".strip()
    return found


def story(suite: LabSuite, steps: Mapping[str, int], names: Sequence[str]) -> list[Row]:
    """Cuts, boots, looks, applies again, rolls back; checks all of it. steps: node -> number of a command."""
    nodes = [node for node in suite.lab.nodes if node.name in steps]
    whole = {node.name: everything(node) for node in nodes}
    for node in nodes:
        arm(node, steps[node.name])
    first = cut(suite, steps)
    for node in nodes:
        node.spawn()
    run_together(nodes, Node.wait_ready)
    then = {node.name: files(node) for node in nodes}
    again = suite.fab("apply", on=",".join(steps))
    assert again.code == 0, again.text
    wanted = {node.name: files(node) for node in nodes}
    rows = []
    for name, step in steps.items():
        told = first.node(name)
        torn = {path for path in OURS if then[name].get(path, "") not in ("", wanted[name][path])}
        assert not torn, (then[name], wanted[name])
        assert then[name].keys() - wanted[name].keys() <= {path for path in then[name] if ".conf" not in path}
        count = sum(path in then[name] for path in OURS)
        assert told["status"] == "unreachable" or (told["status"], count) == ("changed", len(OURS)), told
        state = "as it was" if not count else f"{count} of {len(OURS)} files, and what they bring at boot"
        rows.append(Row("power cut", step, names[step - 1], state, reported(told), again.statuses[name], "as it was"))
    take_back(suite, nodes)
    for node in nodes:
        other = set(whole[node.name]) ^ set(everything(node))
        assert {line for line in other if not line.startswith(BY_MEMORY)} == set()
    return rows


def take_back(suite: LabSuite, nodes: Sequence[Node]) -> None:
    """All that was ever changed: the run that was cut, and the one after it."""
    on = ",".join(node.name for node in nodes)
    for _ in range(2):
        done = suite.fab("rollback", on=on)
        assert done.code == 0, done.text
    assert set(suite.fab("rollback", on=on).statuses.values()) == {"ok"}


def run(lab: Lab, folder: Path, request: pytest.FixtureRequest, chosen: Sequence[str]) -> None:
    """One power cut before each of the commands that start so; three at a time, one a node."""
    suite = LabSuite(lab, folder)
    lab.reset()
    names = commands(suite)
    points = [number for number, name in enumerate(names, 1) if name.startswith(tuple(chosen))]
    assert [start for start in chosen if not any(name.startswith(start) for name in names)] == []
    for index in range(0, len(points), len(lab.nodes)):
        steps = dict(zip((node.name for node in lab.nodes), points[index : index + len(lab.nodes)], strict=False))
        fault_table.keep(request.node, story(suite, steps, names))


def test_a_power_cut_where_it_could_tear_something(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run(lab, tmp_path, request, TENDER)


def test_a_power_cut_at_any_command(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run(lab, tmp_path, request, [""])


# ---- what a kernel makes of it ----

ODD = """
kernel.panic = 10
vm.swappiness = 500
fs.pipe-max-size = 1000000
net.ipv4.tcp_congestion_control = nonsuch
kernel.ostype = Minix
"""
RIGHT = "kernel.panic = 10\nvm.swappiness = 50\nfs.pipe-max-size = 1048576\n"


def profiled(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Makes that the sysctl.conf of the profile `odd`."""
    path = folder / "templates" / "odd" / "sysctl.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    monkeypatch.setenv("FABRIC_NODEPREP_TEMPLATES", str(folder / "templates"))


def test_what_a_kernel_refuses_or_changes_is_told_and_taken_back(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    suite, node = LabSuite(lab, tmp_path), lab.nodes[0]
    node.start()
    whole = everything(node)
    profiled(tmp_path, monkeypatch, ODD)
    first = suite.fab("apply", "--profile", "odd", on=node.name)
    items = first.items(node.name)
    assert (first.code, items["kernel.panic"]["status"]) == (4, "changed")
    kept = {"vm.swappiness": "60", "fs.pipe-max-size": "1048576", "net.ipv4.tcp_congestion_control": "cubic"}
    got = {key: (items[key]["status"], items[key]["got"]) for key in [*kept, "kernel.ostype"]}
    assert got == {key: ("kept-by-kernel", value) for key, value in (kept | {"kernel.ostype": "Linux"}).items()}
    profiled(tmp_path, monkeypatch, RIGHT)
    again = suite.fab("apply", "--profile", "odd", on=node.name)
    assert again.statuses == {node.name: "changed"}, again.text
    take_back(suite, [node])
    assert set(whole) ^ set(everything(node)) == set()
    fault_table.keep(request.node, [_refused(items[key]) for key in got])


def _refused(item: Mapping[str, Any]) -> Row:
    fault, state = f"a kernel and {item['name']} = {item['expected']}", f"it has {item['got']}"
    return Row(fault, 0, "real kernel", state, f"{item['status']}: {item['why']}", "changed", "as it was")


READ_ONLY = {
    # as the kernel does it after an error, whoever writes; it takes a moment
    "the disk is read-only": (
        "echo u >/proc/sysrq-trigger; while touch /var/tmp/x 2>/dev/null; do sleep 0.1; done",
        "mount -o remount,rw / && rm -f /var/tmp/x",
    ),
    "/etc/sysctl.d is immutable": ("chattr +i /etc/sysctl.d", "chattr -i /etc/sysctl.d"),
    "the disk is full": (
        "dd if=/dev/zero of=/var/filler bs=1M 2>/dev/null; cat /dev/zero >>/var/filler 2>/dev/null; sync",
        "rm /var/filler; sync",
    ),
}


@pytest.mark.parametrize("fault", READ_ONLY)
def test_a_disk_that_takes_nothing_is_told_and_put_right(
    fault: str, lab: Lab, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    suite, node = LabSuite(lab, tmp_path), lab.nodes[0]
    node.start()
    whole = everything(node)
    strike, heal = READ_ONLY[fault]
    assert node.run(strike).returncode == 0
    try:
        first = suite.fab("apply", on=node.name)
        then = files(node)
    finally:
        node.run(heal)
    told = first.node(node.name)
    assert (first.code, told["status"]) == (4, "failed"), first.text
    if "nothing was changed" in told["problem"]:
        assert set(whole) ^ set(everything(node)) == set()
    again = suite.fab("apply", on=node.name)
    assert again.statuses == {node.name: "changed"}, again.text
    wanted = files(node)
    assert all(then.get(path, "") in ("", wanted[path]) for path in OURS)
    take_back(suite, [node])
    assert set(whole) ^ set(everything(node)) == set()
    state = f"{sum(path in then for path in OURS)} of 2 files"
    fault_table.keep(request.node, [Row(fault, 0, fault, state, reported(told), "changed", "as it was")])
