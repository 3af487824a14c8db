"""Faults that strike nodes of a fleet at a step of an apply, and checks of those nodes before and after."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.fleet.fleet import Address, Fleet
from tests.ssh.breakpoints import GO, Stops, tell
from tests.ssh.relay import Relay
from tests.ssh.suite import MODULES, SYSCTL, Completed, Suite, key_file
from tests.support.fault_table import Row

FOLDERS = ("/etc/sysctl.d", "/etc/modules-load.d", "/etc/modprobe.d", "/proc/sys")
FILES = ("/etc/sysctl.conf", "/etc/modules", "/proc/modules")
STORE = "/var/lib/nodeprep"
DISK = "/run/disk"  # a small one of the node's own
ON_DISK = ("/etc/sysctl.d", "/etc/modules-load.d", "/var/lib")
Picture = Mapping[str, tuple[int, str]]


@dataclass(frozen=True)
class Scene:
    """A fleet whose nodes are reached through a relay, and stop at a chosen command."""

    fleet: Fleet
    suite: Suite
    relay: Relay
    stops: Stops
    hosts: dict[str, str] = field(default_factory=dict)

    def add(self, **variables: object) -> str:
        """Add a node, and return its name."""
        host, name = next(self.suite.unused), f"n{len(self.hosts) + 1}"
        near = self.relay.to(Address(host, self.fleet.port))
        with self.suite.known_hosts.open("a") as file:
            file.write(f"[{near.host}]:{near.port} {self.fleet.host_key(host)}\n")
        self.suite.add(name, near, **variables)
        self.stops.install(host)
        self.hosts[name] = host
        return name

    def mount(self, *words: str) -> None:
        """Run mount(8) in the nodes' mount namespace."""
        command = ["nsenter", f"--mount=/proc/{self.fleet.server}/ns/mnt", "mount", *words]
        subprocess.run(command, check=True, capture_output=True)

    def root(self, host: str, path: str = "") -> str:
        """Return a path of a node as mount() needs it."""
        return f"{self.fleet.state}/hosts/{host}/root{path}"


Act = Callable[[Scene, str], object]


@dataclass(frozen=True)
class Fault:
    """A fault. prepare: called before the apply; strike: at the step, before the program that waits there gets `word`;
    heal: after the apply. timeout: fab's, in seconds."""

    name: str
    word: str = GO
    prepare: Act = lambda scene, host: None
    strike: Act = lambda scene, host: None
    heal: Act = lambda scene, host: None
    timeout: int = 60


def picture(fleet: Fleet, host: str) -> Picture:
    """Return a node's configuration files, keys and modules: path -> (mode, text or a link's target)."""
    paths = [path for folder in FOLDERS for path in sorted(fleet.path(host, folder).rglob("*"))]
    top = fleet.path(host, "/")
    all_paths = [*paths, *(fleet.path(host, file) for file in FILES)]
    return {f"/{path.relative_to(top)}": _look(path) for path in all_paths if path.is_symlink() or not path.is_dir()}


def _look(path: Path) -> tuple[int, str]:
    mode = path.lstat().st_mode & 0o7777
    return mode, str(path.readlink()) if path.is_symlink() else path.read_text()


def run(scene: Scene, faults: Mapping[str, Fault], steps: Mapping[str, int], verb: str = "apply") -> Completed:
    """Run a verb on all nodes, each struck at its step: name -> step; 0 for a fault that is there already."""
    for name, step in steps.items():
        scene.stops.arm(scene.hosts[name], step)
    waiting = {name: scene.hosts[name] for name, step in steps.items() if step}
    seconds = max(fault.timeout for fault in faults.values())
    words = ["--format", "json", "--forks", str(len(steps)), "--timeout", str(seconds)]
    process = scene.suite.start(scene.suite.command(verb, *words, on=",".join(steps)))
    try:
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(process.communicate, timeout=seconds + 30)
            while waiting and not ending.done():
                for name, host in list(waiting.items()):
                    if (gate := scene.stops.stopped(host)) is not None:
                        faults[name].strike(scene, host)
                        tell(gate, faults[name].word)
                        del waiting[name]
                time.sleep(0.005)
            out, err = ending.result()
    finally:
        process.kill()
        process.wait()
    assert not waiting, f"never came to their step: {waiting}"
    return Completed(process.returncode, out, err)


def calm(scene: Scene, faults: Mapping[str, Fault]) -> None:
    """Cut the connections, wait until nothing runs on the nodes, and heal the faults."""
    for name in faults:
        scene.relay.cut(scene.hosts[name])
        scene.stops.release(scene.hosts[name])
        scene.stops.disarm(scene.hosts[name])
    scene.fleet.settle(30)
    for name, fault in faults.items():
        fault.heal(scene, scene.hosts[name])


# ---- checks ----


def state(before: Picture, now: Picture, wanted: Picture) -> str:
    """Describe a node's state. Raises AssertionError for a file that is neither old nor new."""
    for path in (SYSCTL, MODULES):
        assert now.get(path) in (before.get(path), wanted.get(path)), f"{path} is torn: {now.get(path)}"
    if same(now, before):
        return "as it was"
    if same(now, wanted):
        return "as it should be"
    files = sum(now.get(path) == wanted[path] for path in (SYSCTL, MODULES))
    modules = len(now["/proc/modules"][1].splitlines()) - len(before["/proc/modules"][1].splitlines())
    all_modules = len(wanted["/proc/modules"][1].splitlines()) - len(before["/proc/modules"][1].splitlines())
    keys = {path for path in wanted if path.startswith("/proc/sys/") and wanted[path] != before.get(path)}
    set_keys = sum(now.get(path) == wanted[path] for path in keys)
    return f"{files} of 2 files, {modules} of {all_modules} modules, {set_keys} of {len(keys)} keys"


def same(one: Picture, other: Picture) -> bool:
    """Return True if nothing differs but the temporary files of a killed write, which no program reads."""
    return {path: what for path, what in one.items() if not is_left(path)} == dict(other)


def is_left(path: str) -> bool:
    """Return True for a temporary file beside its target."""
    return path.startswith("/etc/") and not path.endswith(".conf") and path not in FILES


def check_report(node: Mapping[str, Any], now: Picture, before: Picture, wanted: Picture) -> None:
    """Assert that the report of a node is true."""
    words = f"{node['problem']} {node['next_step']}"
    assert "bug" not in words, words
    if node["status"] in ("ok", "changed"):
        assert same(now, wanted), node
    else:
        assert node["problem"] or any(item["status"] not in ("ok", "changed", "skipped") for item in node["items"])
        assert not node["problem"] or node["next_step"], node
    if "nothing was" in words:
        assert same(now, before), node
    for item in node["items"]:
        _check_item(item, now, wanted)


def _check_item(item: Mapping[str, Any], now: Picture, wanted: Picture) -> None:
    good = item["status"] in ("ok", "changed")
    if item["kind"] == "sysctl" and item["got"] is not None and item["status"] != "boot-drift":
        assert item["got"] == " ".join(now[key_file(item["name"])][1].split()), item
    if item["kind"] == "file":
        assert (now.get(item["name"]) == wanted.get(item["name"])) is good, item
    if item["kind"] == "module" and good:
        assert (f"{item['name']} " in now["/proc/modules"][1]) is (item["expected"] != "not loaded"), item


def reported(node: Mapping[str, Any]) -> str:
    """Describe a report in one line, without what differs from run to run."""
    if node["problem"]:
        return re.sub("(status -?[0-9]+): .*", r"\1", f"{node['status']}: {node['problem']}")[:100]
    wrong = [item for item in node["items"] if item["status"] not in ("ok", "changed", "skipped")]
    if not wrong:
        return str(node["status"])
    kinds = {kind: sum(item["kind"] == kind for item in wrong) for kind in ("file", "module", "sysctl")}
    counts = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in kinds.items() if count)
    return f"{node['status']}: {counts}"


# ---- from the fault to the rollback ----


def story(scene: Scene, faults: Mapping[str, Fault], steps: Mapping[str, int], commands: Sequence[str]) -> list[Row]:
    """Strike during an apply, apply again, roll back, and check each of them; return a row for each node.

    faults and steps are by node."""
    for name, fault in faults.items():
        fault.prepare(scene, scene.hosts[name])
    before = pictures(scene)
    first = run(scene, faults, steps)
    calm(scene, faults)
    then = pictures(scene)
    again = apply(scene, list(steps))
    wanted = pictures(scene)
    take_back(scene, list(steps))
    last = pictures(scene)
    rows = []
    for name, step in steps.items():
        assert same(last[name], before[name]), difference(last[name], before[name])
        assert again.statuses[name] in ("ok", "changed"), (name, again.problem(name), again.items(name, wrong=True))
        assert not [path for path in wanted[name] if is_left(path)]
        check_report(first.node(name), then[name], before[name], wanted[name])
        words = state(before[name], then[name], wanted[name])
        command = commands[step - 1] if step else faults[name].name
        report = reported(first.node(name))
        rows.append(Row(faults[name].name, step, command, words, report, again.statuses[name], "as it was"))
    return rows


def story_of_a_rollback(
    scene: Scene, faults: Mapping[str, Fault], steps: Mapping[str, int], commands: Sequence[str]
) -> list[Row]:
    """Strike during a rollback: its report must be true, and the next rollback must finish it. Return the rows."""
    for name, fault in faults.items():
        fault.prepare(scene, scene.hosts[name])
    before = pictures(scene)
    assert set(apply(scene, list(steps)).statuses.values()) == {"changed"}
    applied = pictures(scene)
    first = run(scene, faults, steps, "rollback")
    calm(scene, faults)
    then = pictures(scene)
    again = scene.suite.json("rollback", "--forks", str(len(steps)), on=",".join(steps), seconds=120)
    last = pictures(scene)
    rows = []
    for name, step in steps.items():
        assert same(last[name], before[name]), difference(last[name], before[name])
        assert again.statuses[name] in ("ok", "changed"), (name, again.problem(name), again.items(name, wrong=True))
        assert [path for path in scene.fleet.path(scene.hosts[name], STORE).glob("*") if not _is_swept(path)] == []
        check_report(first.node(name), then[name], applied[name], before[name])
        words = _taken_back(state(before[name], then[name], applied[name]))
        report = reported(first.node(name))
        struck = f"rollback: {faults[name].name}"
        rows.append(
            Row(struck, step, commands[step - 1], words, report, "-", f"as it was, after {again.statuses[name]}")
        )
    return rows


def _is_swept(path: Path) -> bool:
    """Return True for what a killed session leaves; it is not a snapshot, and the next apply removes it."""
    return path.name.startswith("new.")


def _taken_back(words: str) -> str:
    return "as apply left it" if words == "as it should be" else words


def pictures(scene: Scene) -> dict[str, Picture]:
    """Return each node's picture."""
    return {name: picture(scene.fleet, host) for name, host in scene.hosts.items()}


def difference(one: Picture, other: Picture) -> dict[str, tuple[object, object]]:
    """Return the differing paths, for a message."""
    paths = sorted(one.keys() | other.keys())
    return {path: (one.get(path), other.get(path)) for path in paths if one.get(path) != other.get(path)}


def take_back(scene: Scene, names: Sequence[str]) -> None:
    """Roll back both the apply that was struck and the one after it, and assert that no snapshot is left."""
    words = ["--forks", str(len(names))]
    for _ in range(2):
        done = scene.suite.json("rollback", *words, on=",".join(names), seconds=120)
        assert done.code == 0, {name: (done.problem(name), done.items(name, wrong=True)) for name in names}
    assert [name for name in names if scene.fleet.path(scene.hosts[name], STORE).exists()] == []


def apply(scene: Scene, names: Sequence[str]) -> Completed:
    """Run an undisturbed apply."""
    return scene.suite.json("apply", "--forks", str(len(names)), on=",".join(names), seconds=120)


def copy_to_disk(scene: Scene, host: str) -> None:
    """Give a node a small disk of its own for the files that nodeprep writes."""
    disk = scene.fleet.path(host, DISK)
    disk.mkdir()
    scene.mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", scene.root(host, DISK))
    for number, folder in enumerate(ON_DISK):
        shutil.copytree(scene.fleet.path(host, folder), scene.fleet.path(host, f"{DISK}/{number}"), symlinks=True)
        scene.mount("--bind", scene.root(host, f"{DISK}/{number}"), scene.root(host, folder))
