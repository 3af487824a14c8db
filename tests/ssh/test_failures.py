"""A failure of one node does not affect the others, and names its reason and a next step."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import paramiko
import pytest

from lab.fleet.fleet import PASSWORD, Address, Fleet, NodeSpec
from lab.keys import new_key
from tests.ssh.suite import Suite


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(40, nodes=[NodeSpec(sshd_config=("MaxSessions 0",))]) as many:
        yield many


def assert_untouched(suite: Suite, host: str, before: object) -> None:
    assert suite.fleet.snapshot(host) == before


# ---- not there ----


def test_a_dead_host_among_three_leaves_the_others_done(suite: Suite) -> None:
    suite.fresh("one")
    suite.add("dead", suite.fleet.dead_address())
    suite.fresh("three")
    done = suite.json("apply")
    assert (done.code, done.statuses) == (4, {"one": "changed", "dead": "unreachable", "three": "changed"})
    assert "Connection refused" in done.problem("dead")
    assert "sshd" in done.problem("dead")


def test_a_silent_host_costs_its_deadline_and_no_other_host(suite: Suite) -> None:
    suite.fresh("one")
    suite.add("silent", suite.fleet.silent_address())
    suite.fresh("three")
    start = time.monotonic()
    done = suite.json("apply", "--timeout", "3")
    assert time.monotonic() - start < 8
    assert (done.code, done.statuses) == (4, {"one": "changed", "silent": "unreachable", "three": "changed"})
    assert done.node("one")["seconds"] < 2.5
    assert 2.5 < done.node("silent")["seconds"] < 4.5
    assert "does not speak SSH in time" in done.problem("silent")


def test_with_one_fork_a_silent_host_only_delays_the_others(suite: Suite) -> None:
    suite.add("silent", suite.fleet.silent_address())
    suite.fresh("two")
    start = time.monotonic()
    done = suite.json("apply", "--timeout", "2", "--forks", "1")
    assert time.monotonic() - start < 7
    assert (done.code, done.statuses) == (4, {"silent": "unreachable", "two": "changed"})


def test_a_name_that_cannot_be_found_ends_before_any_connection(suite: Suite) -> None:
    host = suite.fresh("one")
    done = suite.fab("apply", on="one,no-such-host.invalid")
    assert done.code == 2
    assert "no-such-host.invalid" in done.stderr
    assert done.stdout == ""
    assert suite.fleet.connections(host) == 0


def test_an_address_of_the_inventory_that_cannot_be_resolved_is_that_hosts_trouble(suite: Suite) -> None:
    suite.fresh("one")
    suite.add("lost", "no-such-host.invalid")
    done = suite.json("apply")
    assert (done.code, done.statuses) == (4, {"one": "changed", "lost": "unreachable"})
    assert "cannot be resolved" in done.problem("lost")


# ---- no login ----


def test_an_unknown_user_is_a_refused_login(suite: Suite) -> None:
    suite.fresh("n", user="nobody-here")
    done = suite.json("plan")
    assert (done.code, done.statuses) == (4, {"n": "unreachable"})
    assert "the login as nobody-here failed" in done.problem("n")


def test_a_wrong_key_is_a_refused_login(suite: Suite) -> None:
    new_key(suite.folder / "other")
    suite.fresh("n", private_key_file=suite.folder / "other")
    done = suite.json("plan")
    assert (done.code, done.statuses) == (4, {"n": "unreachable"})
    assert "the login as" in done.problem("n")
    assert "authorized_keys" in done.problem("n")


def test_a_key_file_that_is_not_there_is_named(suite: Suite) -> None:
    suite.fresh("n", private_key_file=suite.folder / "not-there")
    done = suite.json("plan")
    assert (done.code, done.statuses) == (4, {"n": "unreachable"})
    assert "not-there" in done.problem("n")


def test_a_host_that_gives_no_session_is_unreachable(suite: Suite) -> None:
    suite.add("n", suite.fleet.hosts[0])
    done = suite.json("plan", "--timeout", "10")
    assert (done.code, done.statuses) == (4, {"n": "unreachable"})


def test_a_key_of_the_command_line_is_used(suite: Suite) -> None:
    host = suite.fresh("n", private_key_file="")
    assert suite.json("plan").statuses == {"n": "unreachable"}
    assert suite.json("plan", core=["-i", str(suite.key)]).statuses == {"n": "drift"}
    assert suite.fleet.connections(host) == 2


# ---- no sudo ----


@pytest.mark.parametrize("password", ["", PASSWORD])
def test_a_user_without_sudo_fails_and_nothing_is_written(suite: Suite, password: str) -> None:
    host = suite.fresh("n", user="nosudo", become_password=password)
    before = suite.fleet.snapshot(host)
    done = suite.json("apply")
    assert (done.code, done.statuses) == (4, {"n": "failed"})
    assert "nosudo" in done.problem("n")
    assert "sudo" in done.node("n")["problem"]
    assert done.node("n")["next_step"]
    assert_untouched(suite, host, before)


def test_the_reason_of_sudo_itself_is_passed_on(suite: Suite) -> None:
    suite.fresh("n", user="nosudo", become_password=PASSWORD)
    assert "not in the sudoers file" in suite.json("apply").node("n")["problem"]


def test_become_no_is_respected(suite: Suite) -> None:
    host = suite.fresh("n", user="admin", become="no")
    suite.log_sudo(host)
    done = suite.json("apply")
    assert (done.code, done.statuses) == (4, {"n": "failed"})
    assert "ansible_become is false" in done.problem("n")
    assert suite.sudo_log(host) == ""


def test_a_missing_sudo_password_names_the_flag(suite: Suite) -> None:
    host = suite.fresh("n", user="operator")
    before = suite.fleet.snapshot(host)
    done = suite.json("apply")
    assert (done.code, done.statuses) == (4, {"n": "failed"})
    assert "sudo needs a password" in done.node("n")["problem"]
    assert "--prompt-for-sudo-password" in done.node("n")["next_step"]
    assert_untouched(suite, host, before)


def test_a_wrong_sudo_password_is_tried_once_on_two_hosts(suite: Suite) -> None:
    names = ("one", "two", "three", "four")
    hosts = [suite.fresh(name, user="operator") for name in names]
    before = [suite.fleet.snapshot(host) for host in hosts]
    for host in hosts:
        suite.log_sudo(host)
    written = [suite.fleet.snapshot(host) for host in hosts]
    done = suite.json("apply", env={"FABRIC_SUDO_PASSWORD": "not-the-password"})
    assert (done.code, set(done.statuses.values())) == (4, {"failed"})
    problems = [done.node(name)["problem"] for name in names]
    wrong = [problem for problem in problems if "wrong sudo password" in problem]
    untried = [problem for problem in problems if "was not tried here" in problem]
    assert (len(wrong), len(untried)) == (2, 2)
    suite.fleet.settle()
    logs = [log for host in hosts if (log := suite.sudo_log(host))]
    assert [log.count("1 incorrect password attempt ") for log in logs if "incorrect" in log] == [1, 1]
    assert [suite.fleet.snapshot(host) for host in hosts] == written != before


def test_a_wrong_password_is_not_tried_elsewhere_when_sudo_asks_only_once(suite: Suite) -> None:
    hosts = [suite.fresh(name, user="operator") for name in ("one", "two", "three")]
    for host in hosts:
        suite.log_sudo(host)
        suite.sudoers(host, "Defaults passwd_tries=1")
    done = suite.json("apply", env={"FABRIC_SUDO_PASSWORD": "not-the-password"})
    assert (done.code, set(done.statuses.values())) == (4, {"failed"})
    suite.fleet.settle()
    assert "".join(map(suite.sudo_log, hosts)).count("incorrect password attempt") == 2
    assert sum("was not tried here" in done.problem(name) for name in ("one", "two", "three")) == 1


def test_a_wrong_password_of_one_host_is_no_matter_for_those_that_need_none(suite: Suite) -> None:
    suite.fresh("free", user="admin")
    suite.fresh("root", user="root")
    suite.fresh("closed", user="operator")
    done = suite.json("apply", env={"FABRIC_SUDO_PASSWORD": "not-the-password"})
    assert done.statuses["root"] == "changed"
    assert done.statuses["closed"] == "failed"
    assert "wrong sudo password" in done.problem("closed")


def test_each_host_may_have_its_own_password(suite: Suite) -> None:
    suite.fresh("right", user="operator", become_password=PASSWORD)
    suite.fresh("other", user="operator", become_password=PASSWORD)
    done = suite.json("apply", env={"FABRIC_SUDO_PASSWORD": "not-the-password"})
    assert done.statuses == {"right": "changed", "other": "changed"}


def test_a_refused_password_of_one_host_does_not_stop_another_with_its_own(suite: Suite) -> None:
    suite.fresh("wrong", user="operator", become_password="not-the-password")
    suite.fresh("right", user="operator", become_password=PASSWORD)
    done = suite.json("apply", "--forks", "1")
    assert done.statuses == {"wrong": "failed", "right": "changed"}


def test_many_hosts_with_the_right_password_are_all_done(suite: Suite) -> None:
    names = [f"n{number}" for number in range(5)]
    for name in names:
        suite.fresh(name, user="operator")
    done = suite.json("apply", env={"FABRIC_SUDO_PASSWORD": PASSWORD})
    assert done.statuses == dict.fromkeys(names, "changed")


# ---- a server that stops in the middle of a login ----


class _Endless(paramiko.ServerInterface):
    """A server that receives a user's key and never answers."""

    def __init__(self) -> None:
        self.asked, self.over = Event(), Event()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.asked.set()
        self.over.wait(60)
        return paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return]


@contextlib.contextmanager
def endless_login(folder: Path) -> Iterator[tuple[Address, str, _Endless]]:
    """Yield its address, its line of known_hosts, and the server."""
    public = new_key(folder / "endless")
    server, transports = _Endless(), []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(*listener.getsockname())

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    transport = paramiko.Transport(listener.accept()[0])
                    transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(folder / "endless")))
                    transport.start_server(Event(), server)
                    transports.append(transport)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield address, f"[127.0.0.1]:{address.port} {public}\n", server
        finally:
            server.over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for transport in transports:
                transport.close()


def test_a_login_that_never_ends_is_bounded_however_many_keys_are_tried(suite: Suite) -> None:
    for name in ("id_ed25519", "id_rsa", "id_ecdsa"):
        new_key(suite.folder / name)
    keys = [word for name in ("id_rsa", "id_ecdsa") for word in ("-i", str(suite.folder / name))]
    with endless_login(suite.folder) as (address, line, server):
        suite.known_hosts.write_text(line)
        suite.add("n", address, private_key_file=suite.folder / "id_ed25519")
        done = suite.json("plan", "--timeout", "2", core=keys)
        assert server.asked.is_set()
    assert (done.code, done.statuses) == (4, {"n": "unreachable"})
    assert done.node("n")["seconds"] < 4
    assert "no answer to the login" in done.problem("n")
