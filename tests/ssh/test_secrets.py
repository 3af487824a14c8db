"""Secrecy: only sudo gets the sudo password, and only the code that opens a key gets its passphrase."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_ssh_private_key,
)

from lab.fleet.fleet import Fleet
from tests.ssh.suite import FAB, SYSCTL, Completed, Suite, command_lines

SECRET = "Correct-Horse!42 'x\" $HOME"
ENV = {"FABRIC_SUDO_PASSWORD": SECRET}
PASSPHRASE = "Battery\"Staple' $HOME 7"
PIECES = ("Horse", "Staple")  # of both, however the rest is quoted


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(20) as many:
        yield many


def operator(suite: Suite, name: str, **variables: object) -> str:
    """Add a node whose operator has a password that is found nowhere else, and return its address."""
    host = suite.fresh(name, user="operator", **variables)
    hash_it = ["openssl", "passwd", "-6", "-stdin"]
    hashed = subprocess.run(hash_it, input=SECRET, capture_output=True, text=True, check=True)
    lines = suite.fleet.read(host, "/etc/shadow").splitlines(keepends=True)
    mine = f"operator:{hashed.stdout.strip()}:19000:0:99999:7:::\n"
    text = "".join(mine if line.startswith("operator:") else line for line in lines)
    suite.fleet.write(host, "/etc/shadow", text)
    suite.log_sudo(host)
    return host


def assert_secret(done: Completed) -> None:
    assert not any(piece in done.text for piece in PIECES), done.text


def holding(folder: Path) -> list[Path]:
    """Return the files below a folder that hold a secret."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if any(piece.encode() in path.read_bytes() for piece in PIECES)]


def encrypted_key(suite: Suite) -> Path:
    """Return the path of an encrypted copy of the key that logs in."""
    key = load_ssh_private_key(suite.key.read_bytes(), None)
    path = suite.folder / "id_encrypted"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(PASSPHRASE.encode()))
    )
    path.chmod(0o600)
    return path


@contextlib.contextmanager
def watching(leave_out: str) -> Iterator[set[str]]:
    """Collect the output of `ps` and /proc/PID/environ of all processes meanwhile.

    leave_out: the environ of processes with this text in their command line is not collected."""
    seen: set[str] = set()
    over = Event()

    def watch() -> None:
        while not over.is_set():
            seen.update((command_lines(), *environments(leave_out)))

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def environments(leave_out: str) -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            command = path.with_name("cmdline").read_bytes().decode(errors="replace")
            if leave_out not in command:
                yield command + path.read_bytes().decode(errors="replace")


def test_the_password_is_in_no_command_line_while_it_is_used(suite: Suite) -> None:
    for number in range(3):
        operator(suite, f"n{number}")
    with watching(FAB) as seen:
        done = suite.json("apply", env=ENV)
    assert set(done.statuses.values()) == {"changed"}, done.text
    assert any("sudo" in lines for lines in seen), "the watcher saw nothing"
    assert not any("Horse" in lines for lines in seen)


def test_a_proxy_command_does_not_inherit_the_password(suite: Suite) -> None:
    ssh = f"ssh -F {suite.fleet.client}/ssh_config -W %h:%p root@{next(suite.unused)}"
    operator(suite, "n", args=f'-o ProxyCommand="{ssh}"')
    with watching(FAB) as seen:
        done = suite.json("apply", env={**ENV, "KEPT": "for proxies"})
    assert done.statuses == {"n": "changed"}, done.text
    proxies = [lines for lines in seen if "ssh\0" in lines and "KEPT=for proxies" in lines]
    assert proxies, "the watcher saw no proxy"
    assert not any("Horse" in lines for lines in seen)


def test_the_password_is_in_no_file_of_the_node(suite: Suite) -> None:
    host = operator(suite, "n")
    assert suite.json("apply", env=ENV).statuses == {"n": "changed"}
    suite.fleet.settle()
    assert holding(suite.fleet.root(host)) == []
    assert "COMMAND=" in suite.sudo_log(host)


@pytest.mark.parametrize("where", ["environment", "inventory"])
@pytest.mark.parametrize("verb", ["apply", "hosts"])
def test_the_password_is_in_no_output_even_when_fab_debugs(suite: Suite, where: str, verb: str) -> None:
    env = ENV if where == "environment" else {}
    variables = {} if env else {"become_password": "Correct-Horse!42"}
    suite.fresh("n", user="operator", **variables)
    done = suite.fab(verb, core=["-d"], env={**env, "INVOKE_DEBUG": "1"})
    assert "invoke" in done.stderr
    assert_secret(done)
    assert_secret(suite.fab(verb, "--format", "json", env=env))


def test_the_password_is_in_no_report(suite: Suite, tmp_path: Path) -> None:
    operator(suite, "n")
    report = tmp_path / "kept" / "run.json"
    report.parent.mkdir()
    assert suite.json("apply", "--report", str(report), env=ENV).statuses == {"n": "changed"}
    assert '"n"' in report.read_text()
    assert holding(report.parent) == []


def test_a_password_that_is_typed_is_used_and_not_echoed(suite: Suite) -> None:
    host = operator(suite, "n")
    code, seen = suite.on_terminal(suite.command("apply", core=["--prompt-for-sudo-password"]), SECRET)
    assert code == 0, seen
    assert b"Horse" not in seen
    assert suite.fleet.path(host, SYSCTL).exists()


def test_a_wrong_password_is_not_repeated_in_the_message(suite: Suite) -> None:
    suite.fresh("n", user="operator")
    done = suite.json("apply", env=ENV)
    assert done.statuses == {"n": "failed"}
    assert_secret(done)


def test_a_login_password_is_in_no_output(suite: Suite) -> None:
    suite.fresh("n", user="nobody-here", password="Correct-Horse!42")
    for core in ([], ["-d"]):
        done = suite.fab("plan", core=core)
        assert done.code == 4
        assert_secret(done)


def test_a_password_that_is_shown_by_a_node_is_not_asked_for(suite: Suite) -> None:
    """A login shell that imitates sudo's prompt gets nothing: the real prompt has our mark."""
    host = suite.fresh("n", user="admin")
    suite.fleet.write(host, "/home/admin/.bashrc", "echo '[sudo] password for admin: '; echo 'Password:'\n")
    done = suite.json("apply", env=ENV)
    assert done.statuses == {"n": "changed"}


VERBS = (["apply"], ["verify", "--format", "json"], ["plan", "--format", "junit"], ["fix", "a.b=1"])
LOUD = """
import logging, sys
import paramiko
logger = logging.getLogger("paramiko")
logger.addHandler(logging.FileHandler(sys.argv.pop(1)))
logger.setLevel(logging.DEBUG)
logger.setLevel = lambda *_: None
from fabric.main import program
program.run()
"""


def test_both_secrets_are_used_and_are_nowhere_at_the_highest_verbosity(suite: Suite) -> None:
    """Output in each format, invoke's debugging, paramiko's log, ps, child processes, nodes and their logs."""
    host = operator(suite, "n", private_key_file=encrypted_key(suite))
    (suite.folder / "tmp").mkdir()
    log = suite.folder / "paramiko.log"
    loud = [sys.executable, "-c", LOUD, str(log)]
    core = ["-d", "--prompt-for-passphrase", "--prompt-for-sudo-password"]
    with watching(FAB) as seen:
        for verb, *words in VERBS:
            command = suite.command(verb, *words, core=core)
            code, text = suite.on_terminal(
                [*loud, *command[1:]], SECRET, PASSPHRASE, INVOKE_DEBUG="1", TMPDIR=str(suite.folder / "tmp")
            )
            assert code == (4 if verb == "fix" else 0), text
            assert b"invoke" in text
            assert not any(piece.encode() in text for piece in PIECES), text
    suite.fleet.settle()
    assert "[chan 0]" in log.read_text()
    assert not any(piece in lines for lines in seen for piece in PIECES)
    assert holding(suite.folder) + holding(suite.fleet.root(host)) == []
    assert not any(piece in suite.fleet.log() for piece in PIECES)


@pytest.mark.parametrize("passphrase", ["", "wrong Staple"])
def test_a_key_that_does_not_open_says_so_and_not_the_passphrase(passphrase: str, suite: Suite) -> None:
    suite.fresh("n", private_key_file=encrypted_key(suite))
    core = ["--prompt-for-passphrase"] if passphrase else []
    code, seen = suite.on_terminal(suite.command("plan", "--format", "json", core=core), *filter(None, [passphrase]))
    assert code == 4, seen
    assert b"--prompt-for-passphrase" in seen
    assert b"Staple" not in seen
