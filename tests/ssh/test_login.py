"""Logins with keys of every type, an agent, and passwords; a busy sshd; servers with unusual settings."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet.fleet import PASSWORD, Address, Fleet, NodeSpec
from tests.ssh.suite import Suite, serving

# By its place in the fleet; the others are plain.
SPECS = {
    "password": NodeSpec(sshd_config=("PasswordAuthentication yes",)),
    "both": NodeSpec(sshd_config=("PasswordAuthentication yes", "AuthenticationMethods publickey,password")),
    "rekeys": NodeSpec(sshd_config=("RekeyLimit 4K",)),
    "greets": NodeSpec(banner="Go away\n" * 100),
    "few": NodeSpec(max_startups="1:100:1", sshd_config=("LoginGraceTime 2",)),
    "old": NodeSpec(sshd_config=("Ciphers aes256-ctr", "MACs hmac-sha2-512", "KexAlgorithms ecdh-sha2-nistp384")),
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(30, nodes=list(SPECS.values())) as many:
        yield many


def special(suite: Suite, name: str, **variables: object) -> str:
    """Add the node of SPECS of that name; return its address."""
    return suite.add(name, suite.fleet.hosts[list(SPECS).index(name)], **variables)


def key(suite: Suite, host: str, *words: str, name: str = "own", passphrase: str = "") -> Path:
    """Return a new key that the node accepts. words: arguments of ssh-keygen."""
    path = suite.folder / name
    command = ["ssh-keygen", "-q", "-N", passphrase, "-f", str(path), *words]
    subprocess.run(command, check=True, capture_output=True)
    known = "/etc/ssh/authorized_keys"
    suite.fleet.write(host, known, suite.fleet.read(host, known) + path.with_suffix(".pub").read_text())
    return path


def status(suite: Suite, name: str, **more: object) -> str:
    done = suite.json("plan", on=name, **more)
    return done.statuses[name] + done.problem(name).rstrip(" →")


# ---- keys ----


@pytest.mark.parametrize("words", [["-t", "rsa", "-b", "2048"], ["-t", "ecdsa"], ["-t", "ecdsa", "-b", "521"]])
def test_keys_of_other_types_log_in(words: list[str], suite: Suite) -> None:
    host = suite.fresh("n", private_key_file=suite.folder / "own")
    key(suite, host, *words)
    assert status(suite, "n") == "drift"
    assert suite.fleet.connections(host) == 1


def test_a_key_behind_two_that_are_refused_logs_in_over_the_same_connection(suite: Suite) -> None:
    host = suite.fresh("n")
    others = [suite.folder / "one", suite.folder / "two"]
    for other in others:
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(other)], check=True)
    assert status(suite, "n", core=[word for other in others for word in ("-i", str(other))]) == "drift"
    assert suite.fleet.connections(host) == 1


def test_an_encrypted_key_is_opened_with_its_passphrase_at_many_hosts(suite: Suite) -> None:
    names = [f"n{number}" for number in range(3)]
    hosts = [suite.fresh(name, private_key_file=suite.folder / "own") for name in names]
    path = key(suite, hosts[0], "-t", "ed25519", passphrase="open sesame")
    for host in hosts[1:]:
        suite.fleet.write(host, "/etc/ssh/authorized_keys", path.with_suffix(".pub").read_text())
    command = suite.command("plan", core=["--prompt-for-passphrase"])
    code, said = suite.on_terminal(command, "open sesame")
    assert (code, b"3 to change" in said) == (0, True), said


@contextlib.contextmanager
def agent(suite: Suite, *keys: Path) -> Iterator[str]:
    """Run an ssh-agent with these keys; yield its socket."""
    path = str(suite.folder / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not Path(path).exists():
            assert process.poll() is None
        for each in keys:
            subprocess.run(
                ["ssh-add", "-q", str(each)], env={**os.environ, "SSH_AUTH_SOCK": path}, check=True, capture_output=True
            )
        yield path
    finally:
        process.terminate()
        process.wait(10)


def test_an_agents_key_logs_in_at_many_hosts_at_once(suite: Suite) -> None:
    names = [f"n{number}" for number in range(6)]
    for name in names:
        suite.fresh(name, private_key_file="")
    other = suite.folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "rsa", "-b", "2048", "-f", str(other)], check=True)
    with agent(suite, other, suite.key) as path:
        done = suite.json("plan", env={"SSH_AUTH_SOCK": path})
    assert done.statuses == dict.fromkeys(names, "drift")


def test_an_expired_certificate_beside_an_authorised_key_does_not_stand_in_its_way(suite: Suite) -> None:
    host = suite.fresh("n", private_key_file=suite.folder / "own")
    path = key(suite, host, "-t", "ed25519")
    authority = key(suite, host, "-t", "ed25519", name="authority")
    words = ["-s", str(authority), "-I", "old", "-n", "root", "-V", "20200101:20200102", f"{path}.pub"]
    subprocess.run(["ssh-keygen", "-q", *words], check=True, capture_output=True)
    assert (suite.folder / "own-cert.pub").exists()
    assert status(suite, "n") == "drift"
    assert suite.fleet.connections(host) == 1


# ---- passwords ----


def test_a_password_logs_in(suite: Suite) -> None:
    special(suite, "password", user="operator", private_key_file="", password=PASSWORD)
    assert status(suite, "password") == "drift"


def test_a_wrong_password_is_a_refused_login(suite: Suite) -> None:
    special(suite, "password", user="operator", private_key_file="", password="wrong")
    assert "unreachable" in status(suite, "password")
    assert "the login as operator failed" in status(suite, "password")


def test_a_node_that_wants_both_a_key_and_a_password_gets_both(suite: Suite) -> None:
    host = special(suite, "both", user="operator", password=PASSWORD)
    before = suite.fleet.connections(host)
    assert status(suite, "both") == "drift"
    assert suite.fleet.connections(host) == before + 1
    special(suite, "both", user="operator")
    assert "more than a key" in status(suite, "both")


# ---- servers that are not plain ----


@pytest.mark.parametrize("name", ["rekeys", "greets", "old"])
def test_a_server_of_another_kind_is_worked_on_like_any(name: str, suite: Suite) -> None:
    special(suite, name)
    assert suite.json("apply", on=name).statuses == {name: "changed"}
    assert suite.json("verify", on=name).statuses == {name: "ok"}


def test_a_busy_sshd_that_turns_connections_away_is_asked_again(suite: Suite) -> None:
    """MaxStartups 1:100:1: no connection is accepted while one has not logged in, until its LoginGraceTime."""
    host = special(suite, "few")
    with socket.create_connection((host, suite.fleet.port)) as silent:
        assert silent.recv(4) == b"SSH-"
        done = suite.json("plan", on="few")
    assert done.statuses == {"few": "drift"}, done.problem("few")
    assert done.node("few")["seconds"] > 1


@contextlib.contextmanager
def closing(words: bytes, taken: list[int]) -> Iterator[Address]:
    """Run a server that sends some bytes and closes, and counts its clients."""

    def conversation(client: socket.socket) -> None:
        taken.append(1)
        client.sendall(words)

    with serving(conversation) as address:
        yield address


def test_a_server_that_always_turns_away_is_given_up_in_time(suite: Suite) -> None:
    taken: list[int] = []
    with closing(b"Exceeded MaxStartups\r\n", taken) as address:
        suite.add("n", address)
        done = suite.json("plan", "--timeout", "3")
    assert done.statuses == {"n": "unreachable"}
    assert done.node("n")["seconds"] < 4
    assert 2 <= len(taken) <= 6
    assert "closed before the key exchange" in done.problem("n")
    assert "--forks" in done.problem("n")


def test_that_a_server_turned_us_away_counts_more_than_its_silence_after_that(suite: Suite) -> None:
    greeted: list[int] = []

    def conversation(client: socket.socket) -> None:
        if not greeted:
            client.sendall(b"Exceeded MaxStartups\r\n")
        greeted.append(1)
        while len(greeted) > 1 and client.recv(4096):
            pass

    with serving(conversation) as address:
        suite.add("n", address)
        done = suite.json("plan", "--timeout", "3")
    assert "closed before the key exchange" in done.problem("n")


def test_neither_another_key_nor_a_refused_login_is_tried_again(suite: Suite) -> None:
    changed, refused = suite.fresh("changed"), suite.fresh("refused", user="nobody-here")
    suite.fleet.replace_host_key(changed)
    done = suite.json("plan")
    assert set(done.statuses.values()) == {"unreachable"}
    assert [suite.fleet.connections(host) for host in (changed, refused)] == [1, 1]
