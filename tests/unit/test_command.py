"""The real `fab` on a copy of the project: what is wrong is told in one line, with exit code 2, and before any
connection. The nodes of the copy are a socket that nobody may connect to.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAB = Path(sys.executable).parent / "fab"
SYSCTL, MODULES = "templates/kubernetes/sysctl.conf.j2", "templates/kubernetes/modules-load.conf.j2"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def project(tmp_path: Path, listener: socket.socket) -> Path:
    copy = tmp_path / "project"
    skip = shutil.ignore_patterns("__pycache__", ".lab")
    for name in ("tasks", "templates", "lab"):
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("fabfile.py", "fabric.yaml"):
        shutil.copy(ROOT / name, copy)
    port = listener.getsockname()[1]
    (copy / "hosts.ini").write_text(
        f"[nodes]\nn1 ansible_host=127.0.0.1 ansible_port={port}\nn2 ansible_host=127.0.0.2 ansible_port={port}\n"
    )
    return copy


def fab(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FAB, *words],
        cwd=project,
        env={"PATH": os.environ["PATH"], "HOME": str(project), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def untouched(listener: socket.socket) -> bool:
    """Whether nobody has connected."""
    try:
        listener.accept()
    except BlockingIOError:
        return True
    return False


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


PLAN = ("-H", "nodes", "plan")
Damage = Callable[[Path], object]
USAGE: dict[str, tuple[tuple[str, ...], Damage, str]] = {
    "an unknown group": (("-H", "noodes", "plan"), lambda _: None, 'no host or group "noodes".*mean "nodes"'),
    "no hosts": (("plan",), lambda _: None, "no hosts were chosen: name them with -H"),
    "a bad --only": ((*PLAN, "--only", "keys"), lambda _: None, "--only: expected one of modules, sysctl, got 'keys'"),
    "a bad --format": ((*PLAN, "--format", "xml"), lambda _: None, "--format: expected one of text, json, junit"),
    "--forks that are no number": ((*PLAN, "--forks", "many"), lambda _: None, "--forks: expected a whole number"),
    "an undefined variable": (
        PLAN,
        lambda root: replace(root / SYSCTL, "net.ipv4.ip_forward = 1", "net.ipv4.ip_forward = {{ nope }}"),
        f"{SYSCTL}:LINE: undefined: 'nope'",
    ),
    "a pasted modprobe": (
        PLAN,
        lambda root: replace(root / MODULES, "\nip_vs\n", "\nmodprobe ip_vs\n"),
        f"{MODULES}:LINE: expected a bare module name.*got 'modprobe ip_vs'; write 'ip_vs'",
    ),
    "a key without a value": (
        PLAN,
        lambda root: replace(root / SYSCTL, "kernel.msgmax = 65536", "kernel.msgmax"),
        f"{SYSCTL}:LINE: expected `key = value`.*got 'kernel.msgmax'",
    ),
    "a profile that is missing": (
        (*PLAN, "--profile", "kubernets"),
        lambda _: None,
        "templates/kubernets: no profile: .*there is: kubernetes",
    ),
    "a file that is there twice": (
        PLAN,
        lambda root: (root / SYSCTL.removesuffix(".j2")).write_text(""),
        "templates/kubernetes: both sysctl.conf and sysctl.conf.j2 are there: keep one",
    ),
    "no fabric.yaml": (PLAN, lambda root: (root / "fabric.yaml").unlink(), "fabric.yaml was not read"),
    "a broken inventory": (
        PLAN,
        lambda root: (root / "hosts.ini").write_text("[nodes]\nn1\n[nodes:chilren]\n"),
        "hosts.ini:3: ",
    ),
    "a bad --serial": ((*PLAN, "--serial", "1,many"), lambda _: None, "--serial: expected numbers above 0.*got 'many'"),
    "a bad --max-fail": ((*PLAN, "--max-fail", "few"), lambda _: None, "--max-fail: expected a number.*got 'few'"),
    "a report that has no place": (
        (*PLAN, "--report", "no/such/run.json"),
        lambda _: None,
        r"--report no/such/run.json: cannot be written: No such file or directory \(.*/no/such\)",
    ),
    "a report where no run is": (("-H", "nodes", "show", "--report", "x"), lambda _: None, "--report is for plan,"),
    "a retry of nothing": (
        ("plan", "--retry", "run.json"),
        lambda _: None,
        "run.json: cannot be read: No such file or directory",
    ),
    "a retry of another file": (
        ("plan", "--retry", "fabric.yaml"),
        lambda _: None,
        "fabric.yaml:1: expected the report of an earlier run .*got no JSON",
    ),
    "a run that has no run's name": (
        ("-H", "nodes", "rollback", "--to", "latest"),
        lambda _: None,
        r"--to: expected a run, such as \d{8}-\d{6}-\w{4} \(rollback --list names them\), got 'latest'",
    ),
    "a repair of two nodes": (("-H", "nodes", "fix", "vm.x=1"), lambda _: None, "-H selects 2"),
}
MARKED = {
    "an undefined variable": (SYSCTL, "{{ nope }}"),
    "a pasted modprobe": (MODULES, "modprobe ip_vs"),
    "a key without a value": (SYSCTL, "kernel.msgmax"),
}


@pytest.mark.parametrize("mistake", USAGE)
def test_a_mistake_is_one_line_with_exit_code_2_and_nobody_is_connected_to(
    mistake: str, project: Path, listener: socket.socket
) -> None:
    words, damage, expected = USAGE[mistake]
    damage(project)
    if mistake in MARKED:
        path, text = MARKED[mistake]
        expected = expected.replace("LINE", str(line_of(project / path, text)))
    done = fab(project, *words)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert len(said.strip().splitlines()) == 1
    verb = next(word for word in words if word in ("plan", "fix", "show", "rollback"))
    assert re.match(f"{verb}: .*{expected}", said), said
    assert "Traceback" not in said
    assert untouched(listener)


def test_hosts_lists_what_is_selected_as_json_and_connects_to_nothing(project: Path, listener: socket.socket) -> None:
    done = fab(project, "-H", "nodes,!n2", "hosts", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [host["name"] for host in json.loads(done.stdout)["hosts"]] == ["n1"]
    assert untouched(listener)


def test_the_list_of_verbs_shows_each_with_a_sentence(project: Path) -> None:
    done = fab(project, "--list")
    rows = dict(re.findall(r"^  (\S+) +(\S.*)", done.stdout, re.MULTILINE))
    assert {"plan", "apply", "verify", "fix", "show", "hosts"} <= set(rows)
    assert all(len(words.split()) > 2 for words in rows.values())
