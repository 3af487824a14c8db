"""plan, apply, apply again, verify: for every kind of login that an admin may have."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator

import pytest

from lab.fleet import PASSWORD, Fleet, NodeSpec
from tasks.core.keys import same_value
from tests.ssh.suite import MODULES, SYSCTL, Suite, key_file

LOADED = ("overlay", "br_netfilter", "nf_conntrack", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_wlc", "ip_vs_sh")
BANNER = "Go away\nx begin\n"
LOGINS = {
    "root": {"user": "root"},
    "admin": {"user": "admin"},
    "admin-who-becomes": {"user": "admin", "become": "yes"},
    "operator": {"user": "operator", "become_password": PASSWORD},
    "fishy": {"user": "fishy"},
    "chatty": {"user": "chatty"},
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    described = [NodeSpec(banner=BANNER), NodeSpec(sftp=False), NodeSpec(shell="/bin/sh"), NodeSpec(shell="/bin/dash")]
    with Fleet(20, nodes=described) as many:
        yield many


def shown_files(suite: Suite, name: str) -> dict[str, str]:
    """What `show` says that the files are."""
    done = suite.fab("show", "--format", "json")
    assert done.code == 0, done.text
    files: dict[str, str] = json.loads(done.stdout)["files"][name]
    return files


def assert_written(suite: Suite, host: str, files: dict[str, str]) -> None:
    """The node holds these files, root's and 0644, and its kernel has what they say."""
    assert files.keys() == {MODULES, SYSCTL}
    for path, text in files.items():
        found = suite.fleet.path(host, path)
        assert found.read_text() == text
        assert (stat.S_IMODE(found.stat().st_mode), found.stat().st_uid, found.stat().st_gid) == (0o644, 0, 0)
    for line in filter(lambda line: line and line[0] != "#", files[SYSCTL].splitlines()):
        key, _, value = line.partition(" = ")
        assert same_value(key, suite.value(host, key), value), key
    modules = {line.split()[0] for line in suite.fleet.read(host, "/proc/modules").splitlines()}
    assert modules >= set(LOADED)
    assert set(files[MODULES].splitlines()) >= set(LOADED)


def assert_main_job(suite: Suite, host: str) -> None:
    """plan, apply, apply, verify on node `n`, with one connection for each."""
    before = suite.fleet.connections(host)
    for number, (verb, status) in enumerate(
        [("plan", "drift"), ("apply", "changed"), ("apply", "ok"), ("verify", "ok"), ("plan", "ok")], 1
    ):
        done = suite.json(verb)
        assert (done.code, done.statuses) == (0, {"n": status}), done.text
        assert suite.fleet.connections(host) - before == number, f"{verb} took more than one connection"
    assert_written(suite, host, shown_files(suite, "n"))


@pytest.mark.parametrize("login", LOGINS)
def test_plan_apply_apply_verify(suite: Suite, login: str) -> None:
    host = suite.fresh("n", **LOGINS[login])
    assert_main_job(suite, host)


@pytest.mark.parametrize("number", range(4), ids=["banner", "no-sftp", "sh", "dash"])
@pytest.mark.parametrize("user", ["root"])
def test_the_main_job_on_odd_nodes(suite: Suite, number: int, user: str) -> None:
    host = suite.add("n", suite.fleet.hosts[number], user=user)
    assert_main_job(suite, host)


def test_the_sudo_password_may_come_from_the_environment(suite: Suite) -> None:
    hosts = [suite.fresh(name, user="operator") for name in ("one", "two")]
    done = suite.json("apply", env={"FABRIC_SUDO_PASSWORD": PASSWORD})
    assert (done.code, done.statuses) == (0, {"one": "changed", "two": "changed"}), done.text
    assert [suite.fleet.connections(host) for host in hosts] == [1, 1]


def test_the_files_of_plan_and_apply_are_the_same(suite: Suite) -> None:
    host = suite.fresh("n")
    promised = shown_files(suite, "n")
    assert suite.json("apply").code == 0
    assert {path: suite.fleet.read(host, path) for path in promised} == promised


def test_nothing_but_the_two_files_and_the_kernel_is_changed(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    before = suite.fleet.snapshot(host)
    assert suite.json("apply").code == 0
    after = suite.fleet.snapshot(host)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    outside = {path for path in changed if not path.startswith(("/proc/", "/sys/"))}
    # the folders are the overlay's copies, made when something in them was written
    assert {path for path in outside if not path.endswith(".d")} == {MODULES, SYSCTL}


def test_a_floor_keeps_what_the_node_has_and_the_file_says_so(suite: Suite) -> None:
    host = suite.fresh("n")
    suite.set_value(host, "vm.max_map_count", "1048576")
    suite.set_value(host, "net.ipv4.ip_local_reserved_ports", "9000-9001")
    assert suite.json("apply").code == 0
    assert suite.value(host, "vm.max_map_count") == "1048576"
    assert "vm.max_map_count = 1048576\n" in suite.fleet.read(host, SYSCTL)
    reserved = suite.value(host, "net.ipv4.ip_local_reserved_ports").split(",")
    assert {"9000-9001", "6443", "30000-32767"} <= set(reserved)


def test_a_half_done_node_is_finished(suite: Suite) -> None:
    host = suite.fresh("n")
    assert suite.json("apply").code == 0
    suite.fleet.path(host, MODULES).unlink()
    suite.set_value(host, "vm.max_map_count", "1")
    done = suite.json("apply")
    changed = {name for name, item in done.items("n").items() if item["status"] == "changed"}
    assert (done.code, changed) == (0, {MODULES, "vm.max_map_count"})
    assert suite.json("verify").code == 0


def test_a_file_system_that_is_read_only_is_said_and_not_hidden(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    suite.fleet.write(host, "/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf/in-the-way", "")
    done = suite.json("apply")
    assert (done.code, done.statuses) == (4, {"n": "failed"})
    assert SYSCTL in done.items("n", wrong=True)
    assert not [path for path in suite.fleet.path(host, "/etc/sysctl.d").iterdir() if "nodeprep" in path.name][1:]
    assert suite.fleet.path(host, key_file("kernel.msgmax")).exists()
