"""The two streams, the flags that every verb has, and hosts that are named twice."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab.fleet.fleet import Fleet
from tests.ssh.suite import MODULES, SYSCTL, Suite

ESCAPE = b"\x1b"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(30) as many:
        yield many


def test_only_modules_leaves_keys_and_their_file_alone(suite: Suite) -> None:
    host = suite.fresh("n")
    done = suite.json("apply", "--only", "modules")
    assert (done.code, done.statuses) == (0, {"n": "changed"})
    assert {item["kind"] for item in done.node("n")["items"]} == {"module", "file"}
    assert suite.fleet.path(host, MODULES).exists()
    assert not suite.fleet.path(host, SYSCTL).exists()
    assert suite.value(host, "net.ipv4.ip_forward") == "0"
    assert suite.json("verify", "--only", "modules").code == 0
    assert suite.json("verify").code == 3


def test_only_sysctl_leaves_modules_and_their_file_alone(suite: Suite) -> None:
    host = suite.fresh("n")
    before = suite.fleet.read(host, "/proc/modules")
    done = suite.json("apply", "--only", "sysctl")
    assert {item["kind"] for item in done.node("n")["items"]} == {"sysctl", "file"}
    assert suite.fleet.read(host, "/proc/modules") == before
    assert not suite.fleet.path(host, MODULES).exists()
    assert suite.value(host, "net.ipv4.ip_forward") == "1"
    # the keys of bridge and conntrack need their modules: said, not hidden
    assert done.code == 4
    bridge = done.items("n", wrong=True)["net.bridge.bridge-nf-call-iptables"]
    assert bridge["status"] == "missing"
    assert "br_netfilter" in bridge["why"]


def test_one_fork_does_one_host_after_the_other_in_order(suite: Suite) -> None:
    names = ["c", "a", "b"]
    for name in names:
        suite.fresh(name)
    done = suite.json("plan", "--forks", "1")
    assert list(done.statuses) == names
    assert [line.split()[2] for line in done.stderr.splitlines()] == ["c:", "a:", "b:"]


def test_a_node_under_two_names_is_done_once(suite: Suite) -> None:
    host = suite.fresh("one")
    suite.add("two", host)
    done = suite.json("apply")
    assert (done.code, done.statuses) == (0, {"one": "changed", "two": "skipped"})
    assert "the same node as one" in done.problem("two")
    assert suite.fleet.connections(host) == 1


def test_an_ssh_argument_without_effect_is_said_once(suite: Suite) -> None:
    for name in ("n1", "n2", "n3"):
        suite.fresh(name, args="-o Ciphers=aes128-ctr")
    done = suite.fab("plan")
    assert done.stdout.count("Ciphers=aes128-ctr") == 1
    assert "not honoured" in done.stdout
    assert done.code == 0


def test_pipes_get_no_escape_codes_and_progress_goes_to_stderr(suite: Suite) -> None:
    for name in ("n1", "n2"):
        suite.fresh(name)
    done = suite.fab("plan")
    assert ESCAPE not in done.out + done.err
    assert "plan [2/2]" in done.stderr
    assert "[2/2]" not in done.stdout
    assert "fail" not in done.stderr


def test_a_terminal_gets_colour_unless_no_color_is_set(suite: Suite) -> None:
    suite.fresh("n")
    assert b"\x1b[35m" in suite.on_terminal(suite.command("plan"))[1]
    # NO_COLOR is about colour: the bar may still move the cursor
    plain = suite.on_terminal(suite.command("plan"), NO_COLOR="1")[1]
    assert b"\x1b[35m" not in plain
    assert b"\x1b[3" not in plain.replace(b"\x1b[3m", b"")


@pytest.mark.parametrize("verb", ["plan", "apply", "verify", "render", "hosts"])
def test_json_is_all_that_is_on_stdout(suite: Suite, verb: str) -> None:
    suite.fresh("n", user="chatty", args="-o Ciphers=aes128-ctr")
    done = suite.fab(verb, "--format", "json", env={"COLUMNS": "20"})
    assert isinstance(json.loads(done.out), dict)
    assert ESCAPE not in done.out


def test_json_holds_exit_code_counts_and_every_item(suite: Suite) -> None:
    suite.fresh("one")
    suite.add("dead", suite.fleet.dead_address())
    data = suite.json("plan").data
    assert (data["verb"], data["exit_code"], data["interrupted"]) == ("plan", 4, False)
    assert data["counts"] == {"unreachable": 1, "drift": 1}
    assert [node["host"] for node in data["nodes"]] == ["one", "dead"]
    assert len(data["nodes"][0]["items"]) > 40


def test_show_prints_equal_files_once(suite: Suite) -> None:
    for name in ("n1", "n2", "n3"):
        suite.fresh(name)
    done = suite.fab("render")
    assert done.code == 0
    assert done.stdout.count("==> ") == 2
    assert done.stdout.count("net.ipv4.ip_forward = 1") == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--only", "files"), "modules, sysctl"),
        (("--format", "yaml"), "text, json"),
        (("--host-keys", "maybe"), "accept-new"),
        (("--forks", "0"), "above 0"),
        (("--timeout", "-1"), "above 0"),
        (("--profile", "no-such"), "no-such"),
        (("--profile", "../templates"), "../templates"),
    ],
)
def test_a_wrong_flag_ends_before_any_connection(suite: Suite, words: tuple[str, ...], part: str) -> None:
    host = suite.fresh("n") if words == ("--only", "files") else suite.add("n", suite.fleet.hosts[0])
    before = suite.fleet.connections(host)
    done = suite.fab("plan", *words)
    assert (done.code, done.stdout) == (2, "")
    assert part in done.stderr
    assert suite.fleet.connections(host) == before
