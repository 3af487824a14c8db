"""A node's files in a folder of the tests, and the requests that change them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.core.facts import Facts
from tests.support.shells import Process, Shell, run


@dataclass(frozen=True)
class Place:
    """A shell, and where its lock, its snapshots and some files are."""

    shell: Shell
    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def store(self) -> Path:
        return self.folder / "lib" / "nodeprep"

    @property
    def file(self) -> Path:
        return self.folder / "etc" / "ours.conf"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    def lines(self, run: str, *more: str) -> list[str]:
        """A change of the file and the key, under the lock and with a snapshot before it."""
        return [
            f"lock {self.lock} apply anna@laptop {run}",
            f"note run {run}",
            f"save {self.file}",
            f"value {self.key}",
            f"snapshot {self.store} {run}",
            f"file {self.file}",
            f"|{run}",
            f"keep {self.file}",
            "placed",
            f"set {self.key} {run}",
            *more,
            "scan",
        ]

    def change(self, run: str) -> None:
        """One such session, which gives the lock back as the real ones do."""
        with self.shell.open() as far:
            assert not far.begin([*self.lines(run), "finish"], changes=True).complaints
            assert not self.lock.exists()

    @property
    def snapshots(self) -> list[str]:
        """The names of all snapshots, the oldest first."""
        return sorted(path.name for path in self.store.iterdir()) if self.store.exists() else []

    def text(self, name: str) -> list[str]:
        """A snapshot's lines."""
        return (self.store / name / "snapshot").read_text().splitlines()


def made(shell: Shell, folder: Path) -> Place:
    place = Place(shell, folder / "node")
    place.file.parent.mkdir(parents=True)
    place.key.write_text("old\tvalue\n")
    return place


def end(far: Process) -> None:
    """The end of a session that still had the lock: the connection ends."""
    assert far.finish() == (0, b"")


def kill(far: Process) -> None:
    """The end that nobody can catch."""
    assert far.process is not None
    os.kill(far.process.pid, signal.SIGKILL)
    far.process.wait()


def holder(place: Place, found: Facts) -> str:
    """Who is said to have the lock; empty if we got it."""
    return found.complaints.get(("lock", str(place.lock)), "")


def taking(place: Place, who: str) -> list[str]:
    return [f"lock {place.lock} apply {who} run-of-{who}", "scan"]


def living() -> str:
    """The beginning of a lock's line, of a process that lives: this one."""
    mine = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{os.getpid()} {mine} {booted} 00ff"


def filled(shell: Shell, folder: Path) -> Shell:
    """The shell, where a folder is a file system without room."""
    mount = f'mount -t tmpfs -o size=8k,mode=755 none "{folder}" && head -c 9000 /dev/zero >"{folder}/x" 2>/dev/null'
    if run(["unshare", "-rm", "sh", "-c", f"{mount}; true"], b"").returncode:
        pytest.skip("no mount namespaces here")
    return Shell(shell.folder, ("unshare", "-rm", "sh", "-c", f'{mount}; sh -c "$0"'))


def passes(place: Place, between: Callable[[], None]) -> Path:
    """A session of two passes, and what comes between them; the key that only the second one knows."""
    place.file.write_text("first\n")
    late = place.folder / "late"
    with place.shell.open() as far:
        assert not far.begin([*place.lines("r1"), "finish"], changes=True).complaints
        between()
        late.write_text("7\n")
        lines = [*place.lines("r1"), "finish"]
        lines[4:4] = [f"value {late}"]
        assert not far.again(lines, changes=True).complaints
    return late


def cut_short(place: Place, name: str) -> None:
    """A snapshot as a power cut may leave it."""
    text = place.store / name / "snapshot"
    text.write_text("".join(f"{line}\n" for line in place.text(name)[:-2]))
    (text.parent / "ours.conf").write_text("torn")


def keep(path: Path, lines: list[str]) -> list[str]:
    return [f"file {path}", *(f"|{line}" for line in lines), f"keep {path}", "placed"]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
