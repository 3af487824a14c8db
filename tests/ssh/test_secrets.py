"""The sudo password is seen by sudo and by nobody else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from lab.fleet import Fleet
from tests.ssh.suite import SYSCTL, Said, Suite, command_lines

SECRET = "Correct-Horse!42 'x\" $HOME"
ENV = {"FABRIC_SUDO_PASSWORD": SECRET}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(12) as many:
        yield many


def operator(suite: Suite, name: str, **variables: object) -> str:
    """A node whose operator has a password that is found nowhere else."""
    host = suite.fresh(name, user="operator", **variables)
    hash_it = ["openssl", "passwd", "-6", "-stdin"]
    hashed = subprocess.run(hash_it, input=SECRET, capture_output=True, text=True, check=True)
    lines = suite.fleet.read(host, "/etc/shadow").splitlines(keepends=True)
    mine = f"operator:{hashed.stdout.strip()}:19000:0:99999:7:::\n"
    text = "".join(mine if line.startswith("operator:") else line for line in lines)
    suite.fleet.write(host, "/etc/shadow", text)
    suite.log_sudo(host)
    return host


def assert_secret(done: Said) -> None:
    assert SECRET not in done.text
    assert "Horse" not in done.text


def test_the_password_is_in_no_command_line_while_it_is_used(suite: Suite) -> None:
    for number in range(3):
        operator(suite, f"n{number}")
    seen: list[str] = []
    over = Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(command_lines())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        done = suite.json("apply", env=ENV)
    finally:
        over.set()
        watcher.join()
    assert set(done.statuses.values()) == {"changed"}, done.text
    assert any("sudo" in lines for lines in seen), "the watcher saw nothing"
    assert not any("Horse" in lines for lines in seen)


def test_the_password_is_in_no_file_of_the_node(suite: Suite) -> None:
    host = operator(suite, "n")
    assert suite.json("apply", env=ENV).statuses == {"n": "changed"}
    suite.fleet.settle()
    holding = []
    for path in suite.fleet.root(host).rglob("*"):
        if path.is_file() and not path.is_symlink() and b"Horse" in path.read_bytes():
            holding.append(path)
    assert holding == []
    assert "COMMAND=" in suite.sudo_log(host)


@pytest.mark.parametrize("where", ["environment", "inventory"])
@pytest.mark.parametrize("verb", ["apply", "hosts"])
def test_the_password_is_in_no_output_even_when_fab_tells_all(suite: Suite, where: str, verb: str) -> None:
    env = ENV if where == "environment" else {}
    variables = {} if env else {"become_password": "Correct-Horse!42"}
    suite.fresh("n", user="operator", **variables)
    told = suite.fab(verb, core=["-d"], env={**env, "INVOKE_DEBUG": "1"})
    assert "invoke" in told.stderr
    assert_secret(told)
    assert_secret(suite.fab(verb, "--format", "json", env=env))


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
    """A login shell that prints what looks like sudo's prompt gets nothing: the prompt has our mark."""
    host = suite.fresh("n", user="admin")
    suite.fleet.write(host, "/home/admin/.bashrc", "echo '[sudo] password for admin: '; echo 'Password:'\n")
    done = suite.json("apply", env=ENV)
    assert done.statuses == {"n": "changed"}
