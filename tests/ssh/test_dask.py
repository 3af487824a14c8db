"""--engine dask with a real scheduler and two real workers on loopback, on the fleet's nodes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.fleet.fleet import PASSWORD, Fleet
from lab.fleet.tools import wait_until
from tests.ssh.suite import ROOT, SYSCTL, Suite

STARTS = 60  # seconds for importing dask on a busy machine


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(24) as many:
        yield many


@dataclass
class Cluster:
    """A scheduler and its workers, each a process with a log in the folder, which is the home of all."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        address: str = json.loads((self.folder / "scheduler.json").read_text())["address"]
        return address

    @property
    def words(self) -> tuple[str, str]:
        """The flag that selects it."""
        return "--engine", f"dask={self.address}"

    def start_scheduler(self, code: Path = ROOT) -> subprocess.Popen[bytes]:
        ready = self.folder / "scheduler.json"
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(ready)]
        process = self._start("scheduler", words, {"PYTHONPATH": str(code)})
        self._await(process, lambda: ready.exists() and ready.read_text().endswith("}"))
        return process

    def start_worker(self, *more: str, threads: int = 4, code: Path = ROOT, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until the scheduler has it."""
        log = self.folder / f"{len(self.processes)}.log"
        words = [self.address, "--nthreads", str(threads), "--no-nanny", "--no-dashboard", *more]
        process = self._start("worker", words, {"PYTHONPATH": str(code), **env})
        self._await(process, lambda: "Registered to" in log.read_text())
        return process

    def _start(self, kind: str, words: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        left_out = ("SSH_AUTH_SOCK", "FABRIC_SUDO_PASSWORD")
        mine = {name: value for name, value in os.environ.items() if name not in left_out}
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
                cwd=self.folder,
                env={**mine, "HOME": str(self.folder), **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def _await(self, process: subprocess.Popen[bytes], ready: object) -> None:
        wait_until(lambda: process.poll() is not None or ready(), "dask starts", STARTS)  # type: ignore[operator]
        assert process.poll() is None, "\n".join(log.read_text() for log in sorted(self.folder.glob("*.log")))

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a scheduler without workers."""
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        cluster.start_scheduler()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def cluster(scheduler: Cluster) -> Cluster:
    """Return a scheduler with two workers."""
    scheduler.start_worker()
    scheduler.start_worker()
    return scheduler


def test_workers_do_the_work_and_one_summary_tells_it(suite: Suite, cluster: Cluster) -> None:
    hosts = {f"n{number}": suite.fresh(f"n{number}") for number in range(6)}
    suite.add("dead", suite.fleet.dead_address())
    report = suite.folder / "run.json"
    done = suite.json("apply", *cluster.words, "--serial", "2,3", "--report", str(report), seconds=120)
    assert (done.code, done.statuses) == (4, {**dict.fromkeys(hosts, "changed"), "dead": "unreachable"})
    assert "Connection refused" in done.problem("dead")
    assert "apply batch 3/3: 2 nodes" in done.stderr
    assert done.stderr.count("] n") == len(hosts)
    assert report.read_text() == done.stdout
    assert {suite.fleet.connections(host) for host in hosts.values()} == {1}
    assert {suite.value(host, "net.ipv4.ip_forward") for host in hosts.values()} == {"1"}
    assert suite.json("verify", *cluster.words, on="nodes,!dead", seconds=120).code == 0
    shown = suite.fab("render", *cluster.words, on="n0", seconds=120)
    assert f"==> {SYSCTL} on n0 <==" in shown.stdout


def test_a_worker_that_dies_in_the_middle_is_made_up_for(suite: Suite, scheduler: Cluster) -> None:
    doomed = scheduler.start_worker(threads=1)
    first, second = suite.fresh("one"), suite.fresh("two")
    gates = [suite.hold(first)]
    process = suite.start(suite.command("apply", *scheduler.words, "--format", "json", "--forks", "1"))
    try:
        wait_until(gates[0].with_name("under-way").exists, "the worker is at work", STARTS)
        scheduler.start_worker(threads=1)
        doomed.kill()
        doomed.wait()
        gates[0].touch()
        out = process.communicate(timeout=120)[0]
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, out
    statuses = {node["host"]: node["status"] for node in json.loads(out)["nodes"]}
    assert statuses["two"] == "changed"
    assert statuses["one"] in ("changed", "ok")  # the first worker's script may have come to its end
    assert (suite.fleet.connections(first), suite.fleet.connections(second)) == (2, 1)
    assert suite.json("verify").code == 0


def test_ctrl_c_lets_what_workers_do_finish(suite: Suite, cluster: Cluster) -> None:
    slow = suite.fresh("slow")
    gate, never = suite.hold(slow), suite.fresh("never")
    words = (*cluster.words, "--format", "json", "--serial", "1")
    process = suite.start(suite.command("apply", *words))
    try:
        wait_until(gate.with_name("under-way").exists, "a worker is at work", STARTS)
        os.killpg(process.pid, signal.SIGINT)
        gate.touch()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, err
    assert [node["status"] for node in json.loads(out)["nodes"]] == ["changed", "skipped"]
    assert suite.fleet.connections(never) == 0


def test_a_scheduler_that_dies_is_told_and_nothing_hangs(suite: Suite, cluster: Cluster) -> None:
    gate = suite.hold(suite.fresh("n"))
    env = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}
    process = suite.start(suite.command("apply", *cluster.words, "--format", "json"), **env)
    try:
        wait_until(gate.with_name("under-way").exists, "a worker is at work", STARTS)
        cluster.processes[0].kill()
        out, err = process.communicate(timeout=90)
    finally:
        gate.touch()
        process.kill()
        process.communicate()
    assert process.returncode == 4, err
    (node,) = json.loads(out)["nodes"]
    assert (node["status"], node["problem"][:4]) == ("failed", "dask")
    suite.fleet.settle()


def test_the_sudo_password_of_the_workers_is_theirs(suite: Suite, scheduler: Cluster) -> None:
    scheduler.start_worker(FABRIC_SUDO_PASSWORD=PASSWORD)
    suite.fresh("n", user="operator")
    done = suite.json("apply", *scheduler.words, seconds=120)
    assert (done.code, done.statuses) == (0, {"n": "changed"})


def test_no_password_travels(suite: Suite, scheduler: Cluster) -> None:
    scheduler.start_worker()
    host = suite.fresh("n", user="operator", become_password=PASSWORD)
    done = suite.fab("apply", *scheduler.words)
    assert (done.code, done.stdout) == (2, "")
    assert "no password travels to dask workers, and n has one" in done.stderr
    suite.add("n", host, user="operator")
    done = suite.fab("apply", *scheduler.words, env={"FABRIC_SUDO_PASSWORD": PASSWORD})
    assert (done.code, done.stdout) == (2, "")
    assert "and the command line has one" in done.stderr
    command = suite.command("apply", *scheduler.words, core=["--prompt-for-passphrase"])
    code, seen = suite.on_terminal(command, PASSWORD)
    assert code == 2
    assert b"and the command line has one" in seen.replace(b"\r\n", b" ")
    assert suite.fleet.connections(host) == 0


def test_workers_with_other_code_are_refused_before_any_connection(
    suite: Suite, scheduler: Cluster, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "tasks", tmp_path / "old" / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "old" / "tasks" / "node" / "scripts" / "main.sh").open("a") as script:
        script.write("# an older one\n")
    scheduler.start_worker(code=tmp_path / "old")
    host = suite.fresh("n")
    done = suite.fab("apply", *scheduler.words)
    assert (done.code, done.stdout) == (2, "")
    assert "runs other code: expected" in done.stderr
    assert suite.fleet.connections(host) == 0


@pytest.mark.parametrize("missing", ["workers", "project"])
def test_a_scheduler_without_workers_that_could_is_refused(missing: str, suite: Suite, scheduler: Cluster) -> None:
    expected = "has no workers"
    if missing == "project":
        scheduler.start_worker(code=scheduler.folder)
        expected = "does not have this project"
    suite.fresh("n")
    done = suite.fab("apply", *scheduler.words)
    assert (done.code, done.stdout) == (2, "")
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dask", "expected threads, or dask=tcp://"), ("dask=127.0.0.1", "expected threads, or dask=tcp://")],
)
def test_what_is_no_engine_is_refused(name: str, expected: str, suite: Suite) -> None:
    suite.fresh("n")
    done = suite.fab("plan", "--engine", name)
    assert (done.code, done.stdout) == (2, "")
    assert expected in done.stderr


def test_a_scheduler_that_is_not_there_is_told_by_its_address(suite: Suite) -> None:
    host, port = suite.fleet.dead_address()
    suite.fresh("n")
    done = suite.fab("plan", "--engine", f"dask=tcp://{host}:{port}")
    assert (done.code, done.stdout) == (2, "")
    assert f"no dask scheduler answers at tcp://{host}:{port}" in done.stderr


# A worker in an attacker's hands: dask loads this file at its start. The code that it wants to run elsewhere makes a
# file with the number of the process that runs it.
ATTACK = """
import os
import pickle
import time

import tasks.fleet.dask as engine

MARK = f"open({os.environ['MARKS']!r} + '/' + str(__import__('os').getpid()), 'w').close()"
CODE = f"({MARK}, UserWarning('evil'))[1]"


class Payload:
    def __reduce__(self):
        return eval, (CODE,)


class EvilError(Exception):
    def __reduce__(self):
        return eval, (CODE,)


def give(payload, host):
    return Payload()


def fail(payload, host):
    raise EvilError


def shout(payload, host):
    from distributed import get_worker

    evil = pickle.dumps(Payload())
    get_worker().log_event("print", {"args": ("\\x1b[2Jgone",), "file": 1})
    get_worker().log_event("warn", {"message": evil})
    time.sleep(1)  # events may be slower than results
    return "{}"


def greet():
    return Payload()


if os.environ["ATTACK"] == "greet":
    engine.code_digest = greet
else:
    engine.run_on_worker = globals()[os.environ["ATTACK"]]
"""


@pytest.mark.parametrize(
    ("attack", "code", "problem"),
    [
        ("give", 4, "the dask worker's answer is not a result"),
        ("fail", 4, "dask: "),
        ("shout", 4, "the dask worker's answer is not a result"),
        ("greet", 2, "runs other code"),
    ],
)
def test_a_worker_runs_no_code_on_the_admins_machine(
    attack: str, code: int, problem: str, suite: Suite, scheduler: Cluster, tmp_path: Path
) -> None:
    marks, preload = tmp_path / "marks", tmp_path / "attack.py"
    marks.mkdir()
    preload.write_text(ATTACK)
    scheduler.start_worker("--preload", str(preload), ATTACK=attack, MARKS=str(marks))
    suite.fresh("n")
    process = suite.start(suite.command("plan", *scheduler.words, "--format", "json"))
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code, err
    assert str(process.pid) not in {path.name for path in marks.iterdir()}  # dask's worker tries its own pickles
    assert b"\x1b" not in out + err
    assert problem in (json.loads(out)["nodes"][0]["problem"] if code == 4 else err.decode())
