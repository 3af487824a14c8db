"""fix: one key or module of one node, now and for the next boot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.fleet.fleet import PASSWORD, Fleet
from tests.ssh.suite import FIX_MODULES, FIX_SYSCTL, SYSCTL, Suite


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(20) as many:
        yield many


def plain(suite: Suite, host: str, path: str) -> list[str]:
    """A file's lines without comments; none when it is not there."""
    found = suite.fleet.path(host, path)
    return [line for line in found.read_text().splitlines() if line[:1] != "#"] if found.exists() else []


def test_a_key_that_no_profile_keeps_is_repaired_and_kept(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    done = suite.json("fix", "vm.swappiness=10")
    assert (done.code, done.statuses) == (0, {"n": "changed"})
    assert suite.value(host, "vm.swappiness") == "10"
    assert plain(suite, host, FIX_SYSCTL) == ["vm.swappiness = 10"]
    assert suite.fleet.path(host, FIX_SYSCTL).stat().st_mode & 0o777 == 0o644
    assert suite.json("fix", "vm.swappiness=10").statuses == {"n": "ok"}
    assert suite.fleet.connections(host) == 2


def test_different_repairs_add_up_and_the_last_of_a_key_counts(suite: Suite) -> None:
    host = suite.fresh("n", user="operator", become_password=PASSWORD)
    for repair in ("vm.swappiness=10", "kernel.panic = 10", "vm/swappiness=20"):
        assert suite.json("fix", repair).code == 0
    assert sorted(plain(suite, host, FIX_SYSCTL)) == ["kernel.panic = 10", "vm.swappiness = 20"]
    assert (suite.value(host, "vm.swappiness"), suite.value(host, "kernel.panic")) == ("20", "10")


def test_what_the_profile_keeps_is_not_kept_twice(suite: Suite) -> None:
    host = suite.fresh("n")
    assert suite.json("apply").code == 0
    suite.set_value(host, "net.ipv4.ip_forward", "0")
    before = suite.fleet.read(host, SYSCTL)
    assert suite.json("fix", "net.ipv4.ip_forward=1").statuses == {"n": "changed"}
    assert suite.value(host, "net.ipv4.ip_forward") == "1"
    assert not suite.fleet.path(host, FIX_SYSCTL).exists()
    assert suite.fleet.read(host, SYSCTL) == before
    assert suite.json("verify").code == 0


def test_a_repair_against_the_profile_says_that_verify_will_complain(suite: Suite) -> None:
    suite.fresh("n")
    done = suite.json("fix", "net.core.somaxconn=64")
    assert done.statuses == {"n": "changed"}
    assert "the profile wants" in " ".join(done.node("n")["notes"])


def test_no_persist_changes_the_kernel_only(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    assert suite.json("fix", "vm.swappiness=10", "--no-persist").statuses == {"n": "changed"}
    assert suite.value(host, "vm.swappiness") == "10"
    assert not suite.fleet.path(host, FIX_SYSCTL).exists()


def test_a_module_is_loaded_and_kept(suite: Suite) -> None:
    host = suite.fresh("n", user="admin")
    done = suite.json("fix", "ip-vs-rr")
    assert (done.code, done.statuses) == (0, {"n": "changed"}), done.text
    assert "ip_vs_rr " in suite.fleet.read(host, "/proc/modules")
    assert [line.replace("-", "_") for line in plain(suite, host, FIX_MODULES)] == ["ip_vs_rr"]
    assert suite.json("fix", "ip_vs_rr").statuses == {"n": "ok"}
    assert suite.json("fix", "overlay", "--no-persist").code == 0
    assert len(plain(suite, host, FIX_MODULES)) == 1


def test_two_hosts_are_refused_unless_it_is_said_twice(suite: Suite) -> None:
    hosts = [suite.fresh(name) for name in ("n1", "n2")]
    done = suite.fab("fix", "vm.swappiness=10")
    assert done.code == 2
    assert "--yes" in done.stderr
    assert "n[1-2]" in done.stderr or "n1" in done.stderr
    assert [suite.fleet.connections(host) for host in hosts] == [0, 0]
    assert suite.json("fix", "vm.swappiness=10", "--yes").statuses == {"n1": "changed", "n2": "changed"}


@pytest.mark.parametrize("item", ["net.ipv4.no_such_key=1", "no_such_module"])
def test_what_the_node_does_not_have_is_missing_and_nothing_is_written(suite: Suite, item: str) -> None:
    host = suite.fresh("n", user="admin")
    before = suite.fleet.snapshot(host)
    done = suite.json("fix", item)
    assert (done.code, done.statuses) == (4, {"n": "failed"})
    wrong = done.items("n", wrong=True)[item.partition("=")[0]]
    assert (wrong["status"], wrong["got"]) == ("missing", None)
    assert wrong["why"]
    assert wrong["next_step"]
    assert suite.fleet.snapshot(host) == before


@pytest.mark.parametrize("item", ["a b c", "../etc/passwd=1", "$(reboot)", "=1", "", "vm.swappiness=1\nvm.x=2"])
def test_what_is_no_key_and_no_module_ends_before_any_connection(suite: Suite, item: str) -> None:
    host = suite.fresh("n")
    done = suite.fab("fix", item)
    assert done.code == 2, done.text
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert suite.fleet.connections(host) == 0


def test_a_value_is_never_part_of_a_shell_command(suite: Suite) -> None:
    host = suite.fresh("n")
    value = "$(touch /tmp/hacked) `touch /tmp/hacked`; touch /tmp/hacked ' \" \\"
    suite.json("fix", f"kernel.domainname={value}")
    assert suite.value(host, "kernel.domainname") == value
    assert not suite.fleet.path(host, "/tmp/hacked").exists()


def test_a_missing_sudo_is_said(suite: Suite) -> None:
    host = suite.fresh("n", user="nosudo")
    done = suite.json("fix", "vm.swappiness=10")
    assert (done.code, done.statuses) == (4, {"n": "failed"})
    assert suite.value(host, "vm.swappiness") == "60"
