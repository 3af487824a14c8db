"""Ctrl-C: no new host starts, those under way end, and finished hosts are in the summary."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.fleet.fleet import Address, Fleet
from tests.ssh.suite import SYSCTL, Suite


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(10) as many:
        yield many


@contextlib.contextmanager
def running(suite: Suite, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run fab in a process group of its own, and assert that nothing of it is left at the end."""
    process = suite.start(suite.command("apply", "--format", "json", *words))
    try:
        yield process
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def await_result(process: subprocess.Popen[bytes]) -> None:
    """Wait until the first host is finished."""
    assert process.stderr
    line = process.stderr.readline()
    assert b"[1/" in line


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A host that accepts and never speaks; accept() tells when it is under way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


def finish(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, err = process.communicate(timeout=30)
    assert b"Traceback" not in err, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_ctrl_c_keeps_what_is_finished_and_starts_nothing_more(suite: Suite, silent: socket.socket) -> None:
    done_host = suite.fresh("done")
    suite.add("silent", Address(*silent.getsockname()))
    never = suite.fresh("never")
    with running(suite, "--forks", "1", "--timeout", "4") as process:
        await_result(process)
        under_way, _ = silent.accept()
        os.killpg(process.pid, signal.SIGINT)
        data = finish(process)
        assert process.returncode == 130
    assert (data["interrupted"], data["exit_code"]) == (True, 130)
    assert [node["status"] for node in data["nodes"]] == ["changed", "unreachable", "skipped"]
    assert "interrupted" in data["nodes"][2]["problem"]
    assert suite.fleet.path(done_host, SYSCTL).exists()
    assert suite.fleet.connections(never) == 0
    under_way.close()


def test_ctrl_c_starts_no_further_batch_and_the_report_is_there_to_go_on_from(
    suite: Suite, silent: socket.socket
) -> None:
    suite.add("silent", Address(*silent.getsockname()))
    never = suite.fresh("never")
    report = suite.folder / "run.json"
    with running(suite, "--serial", "1", "--timeout", "2", "--report", str(report)) as process:
        under_way, _ = silent.accept()
        os.killpg(process.pid, signal.SIGINT)
        assert finish(process) == json.loads(report.read_text())
        assert process.returncode == 130
    assert suite.fleet.connections(never) == 0
    under_way.close()
    again = suite.json("apply", "--retry", str(report), on="never")
    assert (again.code, again.statuses) == (0, {"never": "changed"})


def test_a_second_ctrl_c_writes_the_report_and_the_node_can_be_done_again(suite: Suite) -> None:
    slow = suite.fresh("slow")
    gate = suite.hold(slow)
    report = suite.folder / "run.json"
    with running(suite, "--timeout", "30", "--report", str(report)) as process:
        _until(lambda: gate.with_name("under-way").exists())
        os.killpg(process.pid, signal.SIGINT)
        _until(lambda: not _pending(process.pid, signal.SIGINT))
        os.killpg(process.pid, signal.SIGINT)
        assert finish(process) == json.loads(report.read_text())
        assert process.returncode == 130
    gate.touch()
    suite.fleet.settle()
    again = suite.json("apply", "--retry", str(report))
    assert again.code == 0
    assert set(again.statuses.values()) <= {"changed", "ok"}
    assert suite.json("verify").code == 0


def test_ctrl_c_lets_a_host_under_way_finish(suite: Suite) -> None:
    suite.fresh("quick")
    slow = suite.fresh("slow")
    gate = suite.hold(slow)
    with running(suite, "--timeout", "30") as process:
        await_result(process)
        _until(lambda: gate.with_name("under-way").exists())
        os.killpg(process.pid, signal.SIGINT)
        gate.touch()
        data = finish(process)
        assert process.returncode == 130
    assert [node["status"] for node in data["nodes"]] == ["changed", "changed"]
    assert suite.value(slow, "net.ipv4.ip_forward") == "1"


def test_a_second_ctrl_c_gives_up_on_hosts_under_way(suite: Suite, silent: socket.socket) -> None:
    suite.fresh("done")
    suite.add("silent", Address(*silent.getsockname()))
    with running(suite, "--timeout", "25") as process:
        await_result(process)
        under_way, _ = silent.accept()
        start = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _until(lambda: not _pending(process.pid, signal.SIGINT))
        os.killpg(process.pid, signal.SIGINT)
        data = finish(process)
        assert process.returncode == 130
        assert time.monotonic() - start < 5
    assert [node["status"] for node in data["nodes"]] == ["changed", "failed"]
    assert "before it finished" in data["nodes"][1]["problem"]
    under_way.close()


def _until(true: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def _pending(pid: int, number: int) -> bool:
    """Return True if a signal is pending for a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return bool((int(fields["ShdPnd"], 16) | int(fields["SigPnd"], 16)) >> (number - 1) & 1)
