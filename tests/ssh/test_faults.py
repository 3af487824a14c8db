"""Faults at every command that an apply starts on a node: files stay whole, the report is true, the next apply
converges, and rollback restores the original."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from lab.fleet.fleet import PASSWORD, Fleet
from tests.ssh.breakpoints import NO_SHELL, NO_SSHD, STAY, Stops
from tests.ssh.faults import DISK, Act, Fault, Scene, apply, copy_to_disk, story, story_of_a_rollback
from tests.ssh.relay import Relay
from tests.ssh.suite import MODULES, SYSCTL, Suite
from tests.support import fault_table


@contextlib.contextmanager
def scene(folder: Path, count: int, **variables: object) -> Iterator[Scene]:
    """Start a fleet with nodes n1, n2, ..., each logged into as described by `variables`."""
    with Fleet(count) as fleet, Relay() as relay:
        found = Scene(fleet, Suite(fleet, folder, iter(fleet.hosts)), relay, Stops(fleet))
        for _ in range(count):
            found.add(**variables)
        yield found


LOGINS: dict[str, dict[str, object]] = {
    "root": {},
    "admin": {"user": "admin"},
    "operator": {"user": "operator", "become_password": PASSWORD},
}


Commands = Callable[..., list[str]]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """Return a function that counts the commands of an apply by a login, or of its rollback, once."""

    @cache
    def count(login: str, verb: str = "apply") -> list[str]:
        with scene(tmp_path_factory.mktemp("count"), 1, **LOGINS[login]) as one:
            if verb == "rollback":
                apply(one, ["n1"])
            one.stops.arm(one.hosts["n1"], 0)
            assert one.suite.json(verb).statuses == {"n1": "changed"}
            return one.stops.steps(one.hosts["n1"])

    return count


# ---- at every command ----


def read_only(name: str, *paths: str) -> Fault:
    """Return a fault: folders that become read-only."""

    def remount(options: str, at: Scene, host: str) -> None:
        for path in paths:
            at.mount("-o", f"remount,bind,{options}", at.root(host, path))

    def prepare(at: Scene, host: str) -> None:
        for path in paths:
            at.mount("--bind", at.root(host, path), at.root(host, path))

    return Fault(f"{name} read-only", prepare=prepare, strike=partial(remount, "ro"), heal=partial(remount, "rw"))


def fill(at: Scene, host: str) -> None:
    with contextlib.suppress(OSError), at.fleet.path(host, f"{DISK}/filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


EVERYWHERE = (
    Fault("connection reset", strike=lambda at, host: at.relay.cut(host)),
    Fault("connection silent", strike=lambda at, host: at.relay.mute(host), timeout=20),
    Fault("shell killed", NO_SHELL),
    Fault("sshd killed", NO_SSHD),
    Fault("command hangs", STAY, timeout=20),
    Fault(
        "disk full",
        prepare=copy_to_disk,
        strike=fill,
        heal=lambda at, host: at.fleet.path(host, f"{DISK}/filler").unlink(missing_ok=True),
    ),
    read_only("/etc", "/etc"),
    # Not the whole folder: on these nodes a module could not bring its keys then, as a real kernel lets it.
    read_only("/proc/sys", "/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/net/core"),
)
THOROUGH = ("connection reset", "shell killed", "disk full")  # these at every command in `make test`, too


def strike(
    folder: Path, fault: Fault, login: str, commands: Sequence[str], chosen: Sequence[int], item: pytest.Item
) -> None:
    """Strike one node for each chosen command."""
    steps = {f"n{number}": step for number, step in enumerate(chosen, 1)}
    with scene(folder, len(steps), **LOGINS[login]) as at:
        fault_table.keep(item, story(at, dict.fromkeys(steps, fault), steps, commands))


@pytest.mark.parametrize("fault", EVERYWHERE, ids=lambda fault: fault.name)
def test_a_fault_at_a_command_of_an_apply(
    fault: Fault, commands: Commands, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    names = commands("root")
    every = 1 if fault.name in THOROUGH else 5
    chosen = [n for n, name in enumerate(names, 1) if n % every == 1 % every or name.startswith(("modprobe", "sysctl"))]
    strike(tmp_path, fault, "root", names, chosen, request.node)


@pytest.mark.full
@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("fault", EVERYWHERE, ids=lambda fault: fault.name)
def test_a_fault_at_every_command_of_an_apply_by_every_login(
    fault: Fault, login: str, commands: Commands, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """sudo adds one process to end; root's thorough faults are in the test above."""
    if login == "root" and fault.name in THOROUGH:
        pytest.skip("is in the table already")
    names = commands(login)
    chosen = range(1, len(names) + 1, 1 if login == "root" else 3)
    strike(tmp_path, fault, login, names, chosen, request.node)


def some(fault: Fault, login: str) -> Any:
    """Return a parameter that is part of `make test` only for the case that leaves most behind."""
    marks = [] if (fault.name, login) == ("shell killed", "root") else [pytest.mark.full]
    return pytest.param(fault, login, marks=marks, id=f"{fault.name}-{login}")


@pytest.mark.parametrize(("fault", "login"), [some(fault, login) for fault in EVERYWHERE for login in LOGINS])
def test_a_fault_at_a_command_of_a_rollback(
    fault: Fault, login: str, commands: Commands, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    names = commands(login, "rollback")
    chosen = range(1, len(names) + 1, 4 if fault.name == "shell killed" else 8)
    steps = {f"n{number}": step for number, step in enumerate(chosen, 1)}
    with scene(tmp_path, len(steps), **LOGINS[login]) as at:
        rows = story_of_a_rollback(at, dict.fromkeys(steps, fault), steps, names)
    fault_table.keep(request.node, rows)


# ---- there from the start ----


def written(path: str, text: str, mode: int = 0o644) -> Act:
    """Return an act that writes a file of a node."""

    def write(at: Scene, host: str) -> None:
        at.fleet.write(host, path, text)
        at.fleet.path(host, path).chmod(mode)

    return write


def immutable(path: str) -> Fault:
    def change(flag: str) -> Act:
        return lambda at, host: subprocess.run(["chattr", flag, at.fleet.path(host, path)], check=True)

    def prepare(at: Scene, host: str) -> None:
        if path.endswith(".conf"):
            written(path, "# older\n")(at, host)
        change("+i")(at, host)

    return Fault(f"{path} is immutable", prepare=prepare, heal=change("-i"))


def program(name: str, text: str) -> Act:
    return written(f"/usr/local/sbin/{name}", f"#!/bin/sh\n{text}\n", 0o755)


def gone(path: str) -> Act:
    return lambda at, host: at.fleet.path(host, path).unlink(missing_ok=True)


FROM_THE_START = (
    immutable(SYSCTL),
    immutable(MODULES),
    immutable("/etc/sysctl.d"),
    immutable("/etc/modules-load.d"),
    Fault("our file has mode 0600", prepare=written(SYSCTL, "# older\n", 0o600)),
    Fault("our file has mode 0666", prepare=written(MODULES, "# older\n", 0o666)),
    Fault("our file is a link", prepare=lambda at, host: at.fleet.path(host, SYSCTL).symlink_to("/dev/null")),
    Fault(
        "our file is a folder",
        prepare=lambda at, host: at.fleet.path(host, SYSCTL).mkdir(),
        heal=lambda at, host: at.fleet.path(host, SYSCTL).rmdir(),
    ),
    Fault(
        "restorecon fails",
        prepare=program("restorecon", "echo 'restorecon: SELinux: Could not get canonical path' >&2; exit 1"),
        heal=gone("/usr/local/sbin/restorecon"),
    ),
    Fault(
        "modprobe is not there",
        prepare=program("modprobe", "exit 127"),
        heal=gone("/usr/local/sbin/modprobe"),
    ),
    Fault("sysctl is not there", prepare=program("sysctl", "exit 127"), heal=gone("/usr/local/sbin/sysctl")),
)


def test_a_fault_that_is_there_from_the_start(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    faults = {f"n{number}": fault for number, fault in enumerate(FROM_THE_START, 1)}
    with scene(tmp_path, len(faults)) as at:
        rows = story(at, faults, dict.fromkeys(faults, 0), ())
    statuses = {row.fault: row.reported.split(":")[0] for row in rows}
    fine = {fault.name for fault in FROM_THE_START if "mode" in fault.name or "link" in fault.name}
    fine |= {"sysctl is not there", "restorecon fails"}
    assert statuses == {fault.name: "changed" if fault.name in fine else "failed" for fault in FROM_THE_START}
    fault_table.keep(request.node, rows)
