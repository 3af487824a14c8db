"""plan, apply, apply again, verify: for every kind of login that an admin may have."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.fleet.fleet import PASSWORD, Fleet, NodeSpec
from tasks.core.kernel import same_value
from tests.ssh.suite import MODULES, SYSCTL, Completed, Suite

LOADED = ("overlay", "br_netfilter", "nf_conntrack", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_wlc", "ip_vs_sh")
BANNER = "Go away\nx begin\n"
ODD = (NodeSpec(banner=BANNER), NodeSpec(sftp=False), NodeSpec(shell="/bin/sh"), NodeSpec(shell="/bin/dash"))
LOGINS = {
    "root": {"user": "root"},
    "admin": {"user": "admin"},
    "becomes": {"user": "admin", "become": "yes"},
    "operator": {"user": "operator", "become_password": PASSWORD},
    "fishy": {"user": "fishy"},
    "chatty": {"user": "chatty"},
    "banner": {"user": "admin"},
    "no-sftp": {"user": "admin"},
    "sh": {"user": "admin"},
    "dash": {"user": "root"},
}
JOB = (("plan", "drift"), ("apply", "changed"), ("apply", "ok"), ("verify", "ok"), ("plan", "ok"))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(20, nodes=ODD) as many:
        yield many


@dataclass(frozen=True)
class Done:
    """The main job on a node for each login: every step's outcome, the files that `show` shows, the connections."""

    suite: Suite
    hosts: dict[str, str]
    steps: list[Completed]
    connections: list[list[int]]
    files: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def done(fleet: Fleet, unused: Iterator[str], tmp_path_factory: pytest.TempPathFactory) -> Done:
    suite = Suite(fleet, tmp_path_factory.mktemp("main"), unused)
    odd = iter(fleet.hosts)
    named = {name: next(odd) if number >= 6 else next(unused) for number, name in enumerate(LOGINS)}
    for name, host in named.items():
        suite.add(name, host, **LOGINS[name])
    steps, counts = [], []
    for verb, _ in JOB:
        before = {host: fleet.connections(host) for host in named.values()}
        steps.append(suite.json(verb))
        counts.append([fleet.connections(host) - before[host] for host in named.values()])
    return Done(suite, named, steps, counts, shown_files(suite))


@pytest.mark.parametrize("login", LOGINS)
def test_plan_apply_apply_verify(done: Done, login: str) -> None:
    statuses = [step.statuses[login] for step in done.steps]
    assert statuses == [status for _, status in JOB], [step.problem(login) for step in done.steps]
    assert_written(done.suite, done.hosts[login], done.files[login])


def test_no_step_of_the_main_job_fails(done: Done) -> None:
    assert [step.code for step in done.steps] == [0] * len(JOB)


def test_each_step_takes_one_connection_a_host(done: Done) -> None:
    assert done.connections == [[1] * len(LOGINS)] * len(JOB)


def shown_files(suite: Suite) -> dict[str, dict[str, str]]:
    """What `show` says that the files are, by host and path."""
    shown = suite.json("render")
    assert shown.code == 0, shown.text
    files: dict[str, dict[str, str]] = shown.data["files"]
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


def test_the_sudo_password_may_come_from_the_environment(suite: Suite) -> None:
    hosts = [suite.fresh(name, user="operator") for name in ("one", "two")]
    done = suite.json("apply", env={"FABRIC_SUDO_PASSWORD": PASSWORD})
    assert (done.code, done.statuses) == (0, {"one": "changed", "two": "changed"}), done.text
    assert [suite.fleet.connections(host) for host in hosts] == [1, 1]


def test_the_files_of_plan_and_apply_are_the_same(suite: Suite) -> None:
    host = suite.fresh("n")
    promised = shown_files(suite)["n"]
    assert suite.json("apply").code == 0
    assert {path: suite.fleet.read(host, path) for path in promised} == promised


def test_nothing_but_the_two_files_the_kernel_and_our_memory_of_them_is_changed(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    before = suite.fleet.snapshot(host)
    assert suite.json("apply").code == 0
    after = suite.fleet.snapshot(host)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    outside = {path for path in changed if not path.startswith(("/proc", "/sys"))}
    # the folders are the overlay's copies, made when something in them was written
    (store,) = suite.fleet.path(host, "/var/lib/nodeprep").iterdir()
    memory = {"/var/lib/nodeprep", f"/var/lib/nodeprep/{store.name}", f"/var/lib/nodeprep/{store.name}/snapshot"}
    assert {path for path in outside if not path.endswith(".d")} == {MODULES, SYSCTL, *memory}


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


def test_a_folder_in_the_place_of_a_file_is_a_failure_that_leaves_nothing_behind(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    suite.fleet.write(host, f"{SYSCTL}/in-the-way", "")
    done = suite.json("apply")
    assert (done.code, done.statuses) == (4, {"n": "failed"})
    assert "is a folder" in done.items("n", wrong=True)[SYSCTL]["why"]
    assert [path.name for path in suite.fleet.path(host, SYSCTL).iterdir()] == ["in-the-way"]
    assert {path.name for path in suite.fleet.path(host, "/etc/sysctl.d").iterdir()} == {
        "99-sysctl.conf",
        SYSCTL.rpartition("/")[2],
    }
