"""The inventory and the variable files beside it, and the hosts that -H and --retry select."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.errors import InventoryError, SourceError, UsageError
from tasks.core.host import SshOptions
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.selection import duplicates
from tasks.local.inventory import load_inventory, select_from

ALIASES = frozenset({"alias"})  # of ssh_config


def test_a_file_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"none.ini: cannot be read: No such file"):
        load_inventory(tmp_path / "none.ini")
    with pytest.raises(InventoryError, match=r"cannot be read: Is a directory"):
        load_inventory(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("hosts.yml", "---\nall:\n", r"hosts.yml:1: expected an INI inventory \(.*\), got YAML"),
        ("hosts", "# c\nall:\n", "hosts:2: .*got YAML"),
        ("hosts.json", '{"all": {}}\n', "hosts.json:1: .*got JSON"),
        ("hosts.sh", "#!/bin/sh\n", "hosts.sh:1: .*got a script"),
        ("hosts.toml", "[web.hosts]\n", "hosts.toml: .*got a TOML file"),
        ("hosts", "\x7fELF\0\0", "hosts: .*got a binary file"),
    ],
)
def test_an_inventory_of_a_format_without_a_grammar_is_refused(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InventoryError, match=problem):
        load_inventory(tmp_path / name)


def test_variable_files_beside_the_inventory_count(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[nodes]\nn1\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "nodes.yml").write_text("profiles: mine\nsecret: !vault |\n  abc\n")
    (tmp_path / "group_vars" / "all").mkdir()
    (tmp_path / "group_vars" / "all" / "vault.yml").write_text("$ANSIBLE_VAULT;1.1\n00\n")
    (tmp_path / "group_vars" / ".swp").write_text("[")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "n1").write_text("kube_proxy_mode: ipvs\n")
    (found,) = select_from(load_inventory(tmp_path / "hosts.ini"), "n1", ALIASES, tmp_path)
    assert found.variables["profiles"] == "mine"
    assert found.variables["kube_proxy_mode"] == "ipvs"


def test_hosts_of_the_same_groups_share_their_variables_unless_they_have_their_own(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[a]\nn[1:4]\n[a:vars]\nx=1\n[b]\nn2\nn3 x=2\n[b:vars]\nx=3\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "n4").write_text("x: true\n")
    found = select_from(load_inventory(tmp_path / "hosts.ini"), "all,192.0.2.9", ALIASES, tmp_path)
    assert [host.variables.get("x") for host in found] == [1, 3, 2, True, None]
    (tmp_path / "hosts.ini").write_text("[a]\nn[1:4]\n[a:vars]\nx=1\n")
    found = select_from(load_inventory(tmp_path / "hosts.ini"), "all", ALIASES, tmp_path)
    assert [host.variables is found[0].variables for host in found] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", ":1: not YAML"), ("# c\n- a\n", "expected `name: value` lines, got a list"), ("x\n", "got a str")],
)
def test_a_variable_file_that_is_none_is_told_by_name(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("n1\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "n1.yml").write_text(text)
    with pytest.raises(InventoryError, match=r"n1\.yml") as caught:
        load_inventory(tmp_path / "hosts.ini")
    assert words in str(caught.value)


ARGUMENTS = "-o UserKnownHostsFile=known -o GlobalKnownHostsFile=none -o RevokedHostKeys=gone"
FLEET = f"n1 ansible_ssh_private_key_file=keys/id ansible_ssh_common_args='{ARGUMENTS}'\n"


def test_paths_of_the_inventory_are_beside_it(tmp_path: Path) -> None:
    (found,) = select_from(parse_ini(FLEET, "hosts.ini"), "n1", ALIASES, tmp_path)
    assert found.ssh.key_files == (str(tmp_path / "keys/id"),)
    assert found.ssh.known_hosts == (str(tmp_path / "known"),)
    assert found.ssh.global_known_hosts == ("none",)
    assert found.ssh.revoked_host_keys == str(tmp_path / "gone")


def test_hosts_that_are_reached_alike_share_what_says_how(tmp_path: Path) -> None:
    one, other = select_from(parse_ini(FLEET + FLEET.replace("n1", "n2"), "hosts.ini"), "n1,n2", ALIASES, tmp_path)
    assert one.ssh is other.ssh
    assert (one.name, other.name) == ("n1", "n2")


def test_absolute_paths_and_homes_stay_what_they_are(tmp_path: Path) -> None:
    text = FLEET.replace("keys/id", "~/.ssh/id").replace("=known", "=/etc/known")
    (found,) = select_from(parse_ini(text, "hosts.ini"), "n1", ALIASES, tmp_path)
    assert found.ssh.key_files == (str(Path.home() / ".ssh/id"),)
    assert found.ssh.known_hosts == ("/etc/known",)


@pytest.mark.parametrize("name", ["alias", "localhost", "127.0.0.1"])
def test_a_name_that_no_inventory_knows_is_found_where_ssh_would_find_it(name: str, tmp_path: Path) -> None:
    (found,) = select_from(parse_ini("", "hosts.ini"), name, ALIASES, tmp_path)
    assert (found.name, found.ssh) == (name, SshOptions())


@pytest.mark.parametrize("broken", ["no_such_name.invalid", "a..b", "x" * 300])
def test_a_name_that_cannot_be_found_is_a_usage_error(broken: str, tmp_path: Path) -> None:
    find: Callable[[], object] = lambda: select_from(parse_ini("", "hosts.ini"), broken, ALIASES, tmp_path)  # noqa: E731
    with pytest.raises(UsageError):
        find()


def test_a_vaulted_value_counts_as_not_given(tmp_path: Path) -> None:
    """Its ciphertext must never be tried as a password."""
    (tmp_path / "hosts.ini").write_text("n1\n")
    (tmp_path / "group_vars").mkdir()
    vaulted = "ansible_become_password: !vault |\n  $ANSIBLE_VAULT;1.1\n  6162\nx: 1\n"
    (tmp_path / "group_vars/all.yml").write_text(vaulted)
    host = load_inventory(tmp_path / "hosts.ini").host("n1")
    assert (host.become.password, host.variables) == (None, {"x": 1})


def test_variable_files_of_names_with_dots_are_found(tmp_path: Path) -> None:
    """host_vars/10.0.0.7 has no ending; what only looks like a name is not read."""
    (tmp_path / "hosts.ini").write_text("10.0.0.7\nn1.example.com\n")
    (tmp_path / "host_vars").mkdir()
    for name, text in {"10.0.0.7": "a: 1", "n1.example.com": "a: 2", "10.0.0.7.bak": "a: [", "x~": "a: ["}.items():
        (tmp_path / "host_vars" / name).write_text(f"{text}\n")
    inventory = load_inventory(tmp_path / "hosts.ini")
    assert [inventory.host(name).variables["a"] for name in inventory.names()] == [1, 2]


def report(folder: Path, **statuses: str) -> str:
    """A report of nodes with these statuses."""
    path = folder / "run.json"
    nodes = [{"host": host, "status": status, "same_as": ""} for host, status in statuses.items()]
    path.write_text(json.dumps({"nodes": nodes}))
    return str(path)


NODES = parse_ini("[nodes]\nn[1:4] ansible_user=admin\n", "hosts.ini")


def retried(folder: Path, patterns: str, **statuses: str) -> list[str]:
    found = select_from(NODES, patterns, ALIASES, folder, retry=report(folder, **statuses))
    return [host.name for host in found]


def test_a_retry_needs_no_hosts_and_those_of_h_narrow_it(tmp_path: Path) -> None:
    statuses = {"n4": "failed", "n1": "ok", "n2": "unreachable", "n3": "skipped"}
    assert retried(tmp_path, "", **statuses) == ["n4", "n2", "n3"]
    assert retried(tmp_path, "nodes,!n3", **statuses) == ["n2", "n4"]


def test_a_node_that_is_twice_in_a_report_is_done_once(tmp_path: Path) -> None:
    nodes = [{"host": name, "status": "failed", "same_as": ""} for name in ("n2", "n1", "n2")]
    (tmp_path / "run.json").write_text(json.dumps({"nodes": nodes}))
    for patterns in ("", "all"):
        found = select_from(NODES, patterns, ALIASES, tmp_path, retry=str(tmp_path / "run.json"))
        assert sorted(host.name for host in found) == ["n1", "n2"]
        assert duplicates(found) == {}


def test_a_retry_of_a_node_that_the_inventory_does_not_have_any_more_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"run.json: not in hosts.ini: m\[1-2\]; name the nodes to do again with -H"):
        retried(tmp_path, "", n1="failed", m1="failed", m2="failed")
    assert retried(tmp_path, "all", n1="failed", m1="failed") == ["n1"]


def test_a_node_from_outside_the_inventory_is_retried_as_h_names_it(tmp_path: Path) -> None:
    path = report(tmp_path, **{"192.0.2.7:22": "failed"})
    (found,) = select_from(NODES, "me@192.0.2.7:22,n1", ALIASES, tmp_path, retry=path)
    assert (found.name, found.user) == ("192.0.2.7:22", "me")


def test_a_retry_that_nothing_is_left_of_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"-H n1 selects none of the 1 nodes that .*run.json leaves to do"):
        retried(tmp_path, "n1", n2="failed")


def test_a_report_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none.json: cannot be read: No such file"):
        select_from(NODES, "n1", ALIASES, tmp_path, retry=str(tmp_path / "none.json"))
