"""plan, verify, render and fab --dry write nothing and need no sudo; and verify sees whatever was changed by hand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from lab.fleet.fleet import PASSWORD, Fleet
from tests.ssh.suite import MODULES, SYSCTL, Completed, Damage, Suite


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(40) as many:
        yield many


def applied(suite: Suite, **variables: object) -> str:
    """A node `n` that is as it should be."""
    host = suite.fresh("n", **variables)
    assert suite.json("apply").statuses == {"n": "changed"}
    return host


def test_reading_verbs_write_nothing_and_call_no_sudo(suite: Suite) -> None:
    users = ("root", "admin", "operator", "nosudo", "fishy", "chatty")
    hosts = {user: suite.fresh(user, user=user, become_password=PASSWORD) for user in users}
    for host in hosts.values():
        suite.log_sudo(host)
    before = {user: suite.fleet.snapshot(host) for user, host in hosts.items()}
    codes = {verb: suite.fab(verb).code for verb in ("plan", "verify", "render", "hosts")}
    assert codes == {"plan": 0, "verify": 3, "render": 0, "hosts": 0}
    dry = suite.json("apply", core=["--dry"])
    assert (dry.data["verb"], dry.statuses) == ("plan", dict.fromkeys(users, "drift"))
    suite.fleet.settle()
    assert {user: suite.fleet.snapshot(host) for user, host in hosts.items()} == before
    assert "".join(map(suite.sudo_log, hosts.values())) == ""


def test_sudo_is_called_once_by_an_apply(suite: Suite) -> None:
    hosts = {user: suite.fresh(user, user=user, become_password=PASSWORD) for user in ("admin", "operator", "root")}
    for host in hosts.values():
        suite.log_sudo(host)
    assert suite.json("apply").code == 0
    suite.fleet.settle()
    calls = {user: suite.sudo_log(host).count("COMMAND=") for user, host in hosts.items()}
    assert calls == {"admin": 1, "operator": 1, "root": 0}


def test_nothing_is_written_to_a_node_that_is_right(suite: Suite) -> None:
    host = applied(suite, user="operator", become_password=PASSWORD)
    suite.log_sudo(host)
    before = suite.fleet.snapshot(host)
    assert suite.json("apply").statuses == {"n": "ok"}
    assert suite.fleet.snapshot(host) == before
    assert suite.sudo_log(host) == ""


def test_verify_is_ok_for_a_user_without_sudo(suite: Suite) -> None:
    host = applied(suite)
    suite.add("n", host, user="nosudo")
    done = suite.json("verify")
    assert (done.code, done.statuses) == (0, {"n": "ok"})


def damage_value(key: str, value: str) -> Damage:
    return lambda suite, host: suite.set_value(host, key, value)


def remove(suite: Suite, host: str) -> None:
    suite.fleet.path(host, SYSCTL).unlink()


def close(suite: Suite, host: str) -> None:
    suite.fleet.path(host, MODULES).chmod(0o600)


def give_away(suite: Suite, host: str) -> None:
    os.chown(suite.fleet.path(host, MODULES), 1001, 1001)


def edit(suite: Suite, host: str) -> None:
    edited = suite.fleet.read(host, SYSCTL).replace("kernel.msgmax = 65536", "kernel.msgmax = 8192")
    suite.fleet.write(host, SYSCTL, edited + "vm.x = 1\n")


def link(suite: Suite, host: str) -> None:
    path = suite.fleet.path(host, SYSCTL)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def unload(suite: Suite, host: str) -> None:
    lines = suite.fleet.read(host, "/proc/modules").splitlines(keepends=True)
    suite.fleet.write(host, "/proc/modules", "".join(line for line in lines if not line.startswith("ip_vs_wlc ")))
    shutil.rmtree(suite.fleet.path(host, "/sys/module/ip_vs_wlc"))


def comment(suite: Suite, host: str) -> None:
    suite.fleet.write(host, SYSCTL, suite.fleet.read(host, SYSCTL) + "# a comment of the admin's\n")


def respell(suite: Suite, host: str) -> None:
    suite.set_value(host, "net.ipv4.tcp_mem", " 94500000\t\t915000000 927000000 ")
    suite.set_value(host, "vm.max_map_count", "500001")


# name: what is done to a right node, and what verify then finds wrong (item: part of what it got)
DAMAGES: dict[str, tuple[Damage, dict[str, str]]] = {
    "value": (damage_value("net.core.somaxconn", "17"), {"net.core.somaxconn": "17"}),
    "triple": (damage_value("net.ipv4.tcp_mem", "1\t2\t3"), {"net.ipv4.tcp_mem": "1 2 3"}),
    "floor": (damage_value("vm.max_map_count", "499999"), {"vm.max_map_count": "499999"}),
    "ports": (damage_value("net.ipv4.ip_local_reserved_ports", "6443"), {"net.ipv4.ip_local_reserved_ports": "6443"}),
    "empty": (damage_value("net.ipv4.ip_local_reserved_ports", ""), {"net.ipv4.ip_local_reserved_ports": ""}),
    "optional": (damage_value("kernel.sysrq", "1"), {"kernel.sysrq": "1"}),
    "removed": (remove, {SYSCTL: "absent"}),
    "closed": (close, {MODULES: "mode 0600"}),
    "given-away": (give_away, {MODULES: "uid 1001"}),
    "edited": (edit, {SYSCTL: "2 lines differ"}),
    "link": (link, {SYSCTL: "a link to elsewhere"}),
    "unloaded": (unload, {"ip_vs_wlc": "not loaded"}),
    "commented": (comment, {}),
    "respelled": (respell, {}),
    "untouched": (lambda suite, host: None, {}),
}


@pytest.fixture(scope="module")
def damaged(fleet: Fleet, unused: Iterator[str], tmp_path_factory: pytest.TempPathFactory) -> Suite:
    suite = Suite(fleet, tmp_path_factory.mktemp("damaged"), unused)
    suite.damaged({name: damage for name, (damage, _) in DAMAGES.items()})
    return suite


@pytest.fixture(scope="module")
def verified(damaged: Suite) -> Completed:
    return damaged.json("verify")


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_names_exactly_what_was_changed_by_hand(verified: Completed, damage: str) -> None:
    wrong = verified.items(damage, wrong=True)
    expected = DAMAGES[damage][1]
    assert wrong.keys() == expected.keys()
    assert all(part in wrong[name]["got"] for name, part in expected.items())
    assert all(item["status"] == "drift" and item["expected"] for item in wrong.values())
    assert verified.statuses[damage] == ("drift" if expected else "ok")


def test_drift_of_some_nodes_is_exit_code_3(verified: Completed) -> None:
    assert verified.code == verified.data["exit_code"] == 3


def test_verify_prints_key_expected_got_and_the_remedy(damaged: Suite, verified: Completed) -> None:
    text = damaged.fab("verify", on="value")
    assert text.code == 3
    line = next(line for line in text.stdout.splitlines() if "somaxconn" in line)
    assert "expected 32768, got 17" in line
    assert "fab -H value apply --inventory " in text.stdout


def test_apply_makes_each_damage_good(suite: Suite) -> None:
    hosts = {name: suite.fresh(name) for name in ("given-away", "link", "removed", "unloaded", "triple")}
    assert suite.json("apply").code == 0
    for name, host in hosts.items():
        DAMAGES[name][0](suite, host)
    elsewhere = suite.fleet.read(hosts["link"], SYSCTL)
    assert suite.json("apply").statuses == dict.fromkeys(hosts, "changed")
    assert suite.json("verify").statuses == dict.fromkeys(hosts, "ok")
    path = suite.fleet.root(hosts["link"]) / SYSCTL[1:]
    assert not path.is_symlink()
    assert path.with_name("elsewhere").read_text() == elsewhere


def test_what_the_login_user_may_not_read_is_told_and_apply_looks_as_root(suite: Suite) -> None:
    """A folder shut to others: verify does not say ok, and a second apply does not say changed."""
    host = suite.fresh("n", user="admin")
    assert suite.json("apply").statuses == {"n": "changed"}
    assert suite.json("verify").code == 0
    suite.fleet.path(host, "/etc/sysctl.d").chmod(0o700)
    verify = suite.json("verify")
    assert verify.code == 3
    assert verify.items("n", wrong=True)["/etc/sysctl.d"]["got"] == "not readable"
    assert suite.json("apply").statuses == {"n": "ok"}


def test_keys_that_only_root_reads_are_not_judged_without_sudo_and_judged_with_it(suite: Suite) -> None:
    """No circle: verify without sudo ends with 0 and says what it left out; verify --sudo reads it."""
    host = suite.fresh("n", user="admin")
    assert suite.json("apply").statuses == {"n": "changed"}
    key, path = "net.core.somaxconn", "/proc/sys/net/core/somaxconn"
    suite.fleet.path(host, path).chmod(0o600)
    told = suite.json("verify")
    item = told.items("n")[key]
    assert (told.code, item["status"], item["got"]) == (0, "skipped", "not readable")
    assert item["next_step"] == "with sudo: fab -H NODE verify --sudo"
    assert told.node("n")["notes"][-1] == "1 key not judged: only root reads it; fab -H n verify --sudo"
    assert suite.json("plan").code == 0
    assert suite.json("apply").statuses == {"n": "ok"}
    seen = suite.json("verify", "--sudo")
    assert (seen.code, seen.items("n")[key]["status"]) == (0, "ok")
    assert "not judged" not in str(seen.node("n")["notes"])
    suite.fleet.write(host, path, "17\n")
    suite.fleet.path(host, path).chmod(0o600)
    wrong = suite.json("verify", "--sudo")
    assert (wrong.code, wrong.items("n")[key]["got"]) == (3, "17")
    assert suite.json("verify").code == 0
    assert suite.json("fix", key + "=32768").statuses == {"n": "changed"}
    assert suite.json("verify", "--sudo").code == 0
