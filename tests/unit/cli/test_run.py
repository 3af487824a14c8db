"""The real `fab` on a copy of the project: what is wrong is told in one line, with exit code 2, and before any
connection. The nodes of the copy are a socket that nobody may connect to.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import invoke
import pytest

from tasks.cli.options import Options
from tasks.cli.run import Run
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.selection import select_hosts
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, RunSummary, Status

ROOT = Path(__file__).resolve().parents[3]
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


def environment(project: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(project), "PYTHONDONTWRITEBYTECODE": "1"}


def fab(
    project: Path, *words: str, stdout: int | IO[bytes] = subprocess.PIPE, **env: str
) -> subprocess.CompletedProcess[str]:
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
        "templates/kubernets: not a profile: .*profiles: kubernetes",
    ),
    "a file that is there twice": (
        PLAN,
        lambda root: (root / SYSCTL.removesuffix(".j2")).write_text(""),
        "templates/kubernetes: expected one of sysctl.conf and sysctl.conf.j2, got both: keep one",
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
    **{
        f"{flag} where no run is: {words[0]}": (
            ("-H", "nodes", *words, flag, value),
            lambda _: None,
            f"{flag}{more} is not for show, hosts and rollback --list: they print no run$",
        )
        for words in (("show",), ("hosts",), ("rollback", "--list"))
        for flag, value, more in (("--report", "x", ""), ("--format", "junit", " junit"))
    },
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
    verb = next(word for word in words if word in ("plan", "fix", "show", "hosts", "rollback"))
    assert re.match(f"{verb}: .*{expected}", said), said
    assert "Traceback" not in said
    assert untouched(listener)


def test_a_sudo_password_of_two_lines_is_a_mistake_that_does_not_show_it(
    project: Path, listener: socket.socket
) -> None:
    done = fab(project, *PLAN, FABRIC_SUDO_PASSWORD="hunter2\nhunter3")
    assert (done.returncode, done.stdout) == (2, "")
    said = "plan: the sudo password: expected one line, got a line break in it; correct FABRIC_SUDO_PASSWORD"
    assert done.stderr.startswith(said), done.stderr
    assert "hunter" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert untouched(listener)


def test_hosts_lists_what_is_selected_as_json_and_connects_to_nothing(project: Path, listener: socket.socket) -> None:
    done = fab(project, "-H", "nodes,!n2", "hosts", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [host["name"] for host in json.loads(done.stdout)["hosts"]] == ["n1"]
    assert untouched(listener)


FORMATS = ("text", "json", "junit")
WRITTEN = [("hosts", "text", 0), ("hosts", "json", 0), *(("plan", name, 4) for name in FORMATS)]  # nobody is there


@pytest.fixture
def lonely(project: Path) -> Path:
    (project / "hosts.ini").write_text("[nodes]\nn1 ansible_host=127.0.0.1 ansible_port=1\n")
    return project


@pytest.mark.parametrize("style", [{}, {"FORCE_COLOR": "1"}])
@pytest.mark.parametrize(("verb", "name", "code"), WRITTEN)
def test_a_closed_pipe_is_no_reason_for_a_word_or_another_exit_code(
    verb: str, name: str, code: int, style: dict[str, str], lonely: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        done = fab(lonely, "-H", "nodes", verb, "--format", name, stdout=stdout, **style)
    assert done.returncode == code, done.stderr
    assert not re.search("Error|Traceback", done.stderr), done.stderr


@pytest.mark.parametrize("style", [{}, {"FORCE_COLOR": "1"}])
@pytest.mark.parametrize(("verb", "name"), [(verb, name) for verb, name, _ in WRITTEN])
def test_a_full_disk_under_stdout_is_one_clear_line(verb: str, name: str, style: dict[str, str], lonely: Path) -> None:
    with Path("/dev/full").open("wb") as stdout:
        done = fab(lonely, "-H", "nodes", verb, "--format", name, stdout=stdout, **style)
    assert done.returncode == 4, done.stderr
    assert done.stderr.endswith(f"{verb}: stdout could not be written: No space left on device\n")
    assert not re.search("Error|Traceback", done.stderr), done.stderr


@pytest.mark.parametrize(("words", "name"), [(("show",), "files"), (("rollback", "--list"), "snapshots")])
def test_a_list_in_json_is_one_document_also_where_a_node_failed(
    words: tuple[str, ...], name: str, lonely: Path
) -> None:
    done = fab(lonely, "-H", "nodes", *words, "--format", "json")
    data = json.loads(done.stdout)
    assert (done.returncode, data[name]) == (4, {})
    assert [(node["host"], node["status"]) for node in data["unfinished"]] == [("n1", "unreachable")]
    assert data["unfinished"][0]["problem"]
    assert data["unfinished"][0]["next_step"]


@pytest.mark.parametrize("name", ["text", "json"])
def test_a_twin_is_no_reason_to_print_more_than_a_list(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", stream := io.StringIO())
    results = (NodeResult("n1", Status.OK), NodeResult("n2", Status.SKIPPED, problem="the same", same_as="n1"))
    run = Run("show", Options(format=name), (), NOWHERE, NOWHERE)
    run.finish_listing(RunSummary("show", results, 1.0))
    assert stream.getvalue() == ""
    with pytest.raises(invoke.Exit) as ended:
        run.finish_listing(RunSummary("show", results, 1.0, interrupted=True))
    assert ended.value.code == 130


def test_without_a_stdout_there_are_no_results(project: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {FAB} -H nodes hosts >&-"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_list_of_verbs_shows_each_with_a_sentence(project: Path) -> None:
    done = fab(project, "--list")
    rows = dict(re.findall(r"^  (\S+) +(\S.*)", done.stdout, re.MULTILINE))
    assert {"plan", "apply", "verify", "fix", "show", "hosts"} <= set(rows)
    assert all(len(words.split()) > 2 for words in rows.values())


NOWHERE: Any = None  # for what a finished run does not look at any more
DRIFT = Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", "0")


def said_after(typed: str, verb: str, *statuses: Status, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that are told at the end of a run of -H."""
    words = typed.split()
    monkeypatch.setattr("sys.argv", ["/usr/bin/fab", *words])
    inventory = parse_ini("[nodes]\nnode-1 ansible_user=admin\nnode-2\n", "hosts.ini")
    hosts = select_hosts(inventory, words[words.index("-H") + 1], reachable_name=lambda _: True)
    results = [NodeResult(host.name, status, (DRIFT,)) for host, status in zip(hosts, statuses, strict=True)]
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    with pytest.raises(invoke.Exit):
        Run(verb, Options(), hosts, NOWHERE, NOWHERE).finish(RunSummary(verb, tuple(results), 1.0))
    return re.findall(r"fab -H .*", stream.getvalue())


def test_the_remedy_applies_what_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = "-H root@node-1:3,node-2,me@far verify --profile mine --host-keys off --ignore CRI --report run.json"
    said = said_after(typed, "verify", Status.DRIFT, Status.OK, Status.DRIFT, monkeypatch=monkeypatch)
    assert "fab -H me@far,root@node-1:3 apply --profile mine --host-keys off" in said


@pytest.mark.parametrize("left", ["root@node-1", "node-1:3", "root@node-1:3", "node-1", "me@far:3"])
def test_what_is_left_is_reached_as_it_was_typed(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = said_after(f"-H {left},node-2 plan", "plan", Status.FAILED, Status.OK, monkeypatch=monkeypatch)
    assert said == [f"fab -H {left} plan"]
