"""Run the programs that the lab is made of, and name the packages of those that are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from lab.errors import LabError, LabUsageError

PACKAGE_OF = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "busybox": "busybox-static",
    "ssh": "openssh-client",
    "setpriv": "util-linux",
}
_SYSTEM_FOLDERS = "/usr/sbin:/sbin"


def find(program: str) -> str | None:
    """Return a program's path, also from the folders that only root has on its PATH; None if it is missing."""
    return shutil.which(program) or shutil.which(program, path=_SYSTEM_FOLDERS)


def require(programs: Iterable[str] = PACKAGE_OF) -> None:
    """Check that the programs are there. Raises LabUsageError with the packages to install if not."""
    packages = sorted({PACKAGE_OF[program] for program in programs if find(program) is None})
    if packages:
        raise LabUsageError(f"the lab needs programs that are missing here; apt install {' '.join(packages)}")


def run(
    command: list[str],
    log: Path,
    source: IO[bytes] | None = None,
    sink: IO[bytes] | None = None,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run one step of a build, and append its messages to `log`. Raises LabError with the log's last lines if it fails.

    source: its stdin, empty by default. sink: its stdout, the log by default. variables: added to its environment.
    """
    with log.open("ab") as messages:
        done = subprocess.run(
            [find(command[0]) or command[0], *command[1:]],
            stdin=source or subprocess.DEVNULL,
            stdout=sink or messages,
            stderr=messages,
            env={**os.environ, **(variables or {})},
            check=False,
        )
    if done.returncode:
        raise LabError(f"{command[0]} ended with status {done.returncode}:\n{tail(log)}")


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log that are not blank, indented; a note if there are none."""
    text = log.read_text(errors="replace") if log.exists() else ""
    last = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"    {line}" for line in last) or f"    ({log.name} is empty)"
