"""The real `fab` on a copy of the project, whose nodes are a socket that nobody may connect to."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
FAB = Path(sys.executable).parent / "fab"


def copy_project(copy: Path, port: int) -> Path:
    """Copy what `fab` needs to a folder, with an inventory of two nodes at a port of this machine."""
    skip = shutil.ignore_patterns("__pycache__", ".lab")
    for name in ("tasks", "templates", "lab"):
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("fabfile.py", "fabric.yaml"):
        shutil.copy(ROOT / name, copy)
    (copy / "hosts.ini").write_text(
        f"[nodes]\nn1 ansible_host=127.0.0.1 ansible_port={port}\nn2 ansible_host=127.0.0.2 ansible_port={port}\n"
    )
    return copy


def environment(project: Path) -> dict[str, str]:
    """Return the environment of `fab`, with nothing of the developer's."""
    return {"PATH": os.environ["PATH"], "HOME": str(project), "PYTHONDONTWRITEBYTECODE": "1"}


def fab(
    project: Path, *words: str, stdout: int | IO[bytes] = subprocess.PIPE, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `fab` in the project's folder, without a terminal."""
    return subprocess.run(
        [FAB, *words],
        cwd=project,
        env=environment(project) | env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def untouched(listener: socket.socket) -> bool:
    """Return whether nobody has connected."""
    try:
        listener.accept()
    except BlockingIOError:
        return True
    return False
