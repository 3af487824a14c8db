"""Host keys are checked on every hop as OpenSSH does, and jump hosts lead to a node."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from lab.fleet.fleet import PASSWORD, Fleet
from tests.ssh.suite import Completed, Suite, command_lines

KEYS = ("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(60) as many:
        yield many


def fingerprint(public: str) -> str:
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def know(suite: Suite, *lines: str) -> None:
    suite.known_hosts.write_text("".join(f"{line}\n" for line in lines))


def entry(suite: Suite, host: str, key: str = "") -> str:
    return f"[{host}]:{suite.fleet.port} {key or suite.fleet.host_key(host)}"


def seen(suite: Suite, *words: str, on: str = "n", core: Sequence[str] = ()) -> tuple[str, str]:
    """Return a plan's status for one node, and its problem."""
    done = suite.json("plan", *words, on=on, core=core)
    return done.statuses[on], done.problem(on)


def public_key(suite: Suite, host: str, path: str) -> str:
    """Return a host's public key of another type as `TYPE BASE64`."""
    private = suite.folder / "private"
    private.write_bytes(suite.fleet.path(host, path).read_bytes())
    private.chmod(0o600)
    done = subprocess.run(["ssh-keygen", "-y", "-f", str(private)], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split()[:2])


# ---- known, unknown, changed ----


def test_a_known_key_is_accepted(suite: Suite) -> None:
    host = suite.fresh("n")
    know(suite, entry(suite, host))
    assert seen(suite)[0] == "drift"


def test_an_unknown_key_is_refused_with_its_fingerprint_before_any_login(suite: Suite) -> None:
    host = suite.fresh("n")
    know(suite)
    suite.fleet.write(host, "/root/.bashrc", "echo in >>/root/logins\n")
    status, problem = seen(suite)
    assert status == "unreachable"
    # without an entry the host sends a key of the first type that both sides support
    keys = [suite.fleet.host_key(host), *(public_key(suite, host, path) for path in KEYS)]
    assert any(fingerprint(key) in problem for key in keys)
    assert "--host-keys accept-new" in problem
    suite.fleet.settle()
    assert not suite.fleet.path(host, "/root/logins").exists()
    assert suite.known_hosts.read_text() == ""


def test_accept_new_adds_exactly_one_line_that_strict_then_accepts(suite: Suite) -> None:
    host = suite.fresh("n")
    suite.known_hosts.write_text("other.example ssh-ed25519 AAAA")  # without a line break at its end
    assert seen(suite, "--host-keys", "accept-new")[0] == "drift"
    first, *added = suite.known_hosts.read_text().splitlines()
    assert first == "other.example ssh-ed25519 AAAA"
    assert [line.split()[0] for line in added] == [f"[{host}]:{suite.fleet.port}"]
    assert seen(suite)[0] == "drift"
    assert seen(suite, "--host-keys", "accept-new")[0] == "drift"
    assert len(suite.known_hosts.read_text().splitlines()) == 2
    check = ["ssh-keygen", "-F", f"[{host}]:{suite.fleet.port}", "-f", str(suite.known_hosts)]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0


def test_accept_new_of_many_hosts_at_once_adds_one_line_for_each(suite: Suite) -> None:
    hosts = [suite.fresh(f"n{number}") for number in range(6)]
    know(suite)
    done = suite.json("plan", "--host-keys", "accept-new")
    assert set(done.statuses.values()) == {"drift"}
    names = [line.split()[0] for line in suite.known_hosts.read_text().splitlines()]
    assert sorted(names) == sorted(f"[{host}]:{suite.fleet.port}" for host in hosts)


@pytest.mark.parametrize("mode", ["strict", "accept-new"])
def test_a_changed_key_is_refused(suite: Suite, mode: str) -> None:
    host = suite.fresh("n")
    new = suite.fleet.replace_host_key(host)
    before = suite.known_hosts.read_text()
    status, problem = seen(suite, "--host-keys", mode)
    assert status == "unreachable"
    assert "not the known one" in problem
    assert fingerprint(new) in problem
    assert f"-R '[{host}]:{suite.fleet.port}'" in problem
    assert suite.known_hosts.read_text() == before


def test_off_accepts_unknown_and_changed_keys_and_remembers_none(suite: Suite) -> None:
    suite.fleet.replace_host_key(suite.fresh("n"))
    assert seen(suite, "--host-keys", "off")[0] == "drift"
    know(suite)
    assert seen(suite, "--host-keys", "off")[0] == "drift"
    assert suite.known_hosts.read_text() == ""


def test_the_inventory_may_turn_checking_off(suite: Suite) -> None:
    suite.fleet.replace_host_key(suite.fresh("n", host_key_checking="no"))
    assert seen(suite)[0] == "drift"
    assert seen(suite, "--host-keys", "strict")[0] == "unreachable"


# ---- what stands in known_hosts ----


@pytest.mark.parametrize("path", KEYS)
def test_a_host_known_by_another_type_of_key_shows_that_one(suite: Suite, path: str) -> None:
    host = suite.fresh("n")
    know(suite, entry(suite, host, public_key(suite, host, path)))
    assert seen(suite)[0] == "drift"


def test_hashed_known_hosts_are_read(suite: Suite) -> None:
    host = suite.fresh("n")
    know(suite, entry(suite, host))
    subprocess.run(["ssh-keygen", "-H", "-f", str(suite.known_hosts)], capture_output=True, check=True)
    assert host not in suite.known_hosts.read_text()
    assert seen(suite)[0] == "drift"
    suite.fleet.replace_host_key(host)
    assert "not the known one" in seen(suite)[1]


def test_patterns_and_negations_are_read(suite: Suite) -> None:
    host = suite.fresh("n")
    key = suite.fleet.host_key(host)
    know(suite, f"[127.*]:{suite.fleet.port} {key}")
    assert seen(suite)[0] == "drift"
    know(suite, f"![{host}]:{suite.fleet.port},[127.*]:{suite.fleet.port} {key}")
    assert "unknown" in seen(suite)[1]


@pytest.mark.parametrize("mode", ["strict", "accept-new"])
def test_a_revoked_key_is_refused(suite: Suite, mode: str) -> None:
    host = suite.fresh("n")
    know(suite, entry(suite, host), f"@revoked {entry(suite, host)}")
    status, problem = seen(suite, "--host-keys", mode)
    assert status == "unreachable"
    assert "@revoked" in problem


def test_a_key_revoked_for_every_host_is_refused_as_new(suite: Suite) -> None:
    host = suite.fresh("n")
    kinds = [suite.fleet.host_key(host), *(public_key(suite, host, path) for path in KEYS)]
    know(suite, *(f"@revoked * {key}" for key in kinds))
    status, problem = seen(suite, "--host-keys", "accept-new")
    assert status == "unreachable"
    assert "@revoked" in problem


def test_a_key_known_without_a_port_is_taken_for_any_port_but_not_one_of_another_port(suite: Suite) -> None:
    """Compare with ssh, which looks again without the port and accepts a match."""
    host = suite.fresh("n")
    key = suite.fleet.host_key(host)
    know(suite, f"{host} {key}")
    ssh = ["ssh", "-F", "/dev/null", "-i", str(suite.key), "-p", str(suite.fleet.port), "-o", "BatchMode=yes"]
    ssh += ["-o", f"UserKnownHostsFile={suite.known_hosts}", "-o", "StrictHostKeyChecking=yes", f"root@{host}", "true"]
    assert subprocess.run(ssh, check=False, capture_output=True).returncode == 0
    assert seen(suite)[0] == "drift"
    know(suite, f"[{host}]:1 {key}")
    assert subprocess.run(ssh, check=False, capture_output=True).returncode == 255
    assert "unknown" in seen(suite)[1]


# ---- jump hosts ----


def jump(suite: Suite, *hosts: str) -> str:
    """Return ssh's arguments for jump hosts, whose keys the admin's own file holds: -o is for the node alone."""
    own = suite.folder / ".ssh/known_hosts"
    if not own.exists():
        own.parent.mkdir()
        own.symlink_to(suite.known_hosts)
    return "-J " + ",".join(f"root@{host}:{suite.fleet.port}" for host in hosts)


def test_a_jump_host_leads_to_the_node(suite: Suite) -> None:
    between, host = suite.fresh("between"), next(suite.unused)
    suite.add("n", host, args=jump(suite, between))
    done = suite.json("apply", on="n", core=["-i", str(suite.key)])
    assert (done.code, done.statuses) == (0, {"n": "changed"}), done.problem("n")
    assert [suite.fleet.connections(each) for each in (between, host)] == [1, 1]
    suite.fleet.settle()  # nothing holds the jump host's connection open


def test_a_node_behind_two_jump_hosts_is_reached(suite: Suite) -> None:
    hosts = [next(suite.unused) for _ in range(3)]
    suite.add("n", hosts[2], args=jump(suite, *hosts[:2]))
    assert seen(suite, core=["-i", str(suite.key)])[0] == "drift"
    assert [suite.fleet.connections(host) for host in hosts] == [1, 1, 1]


@pytest.mark.parametrize("wrong", ["between", "behind"])
def test_the_keys_of_both_hops_are_checked(suite: Suite, wrong: str) -> None:
    hosts = {"between": next(suite.unused), "behind": next(suite.unused)}
    suite.add("n", hosts["behind"], args=jump(suite, hosts["between"]))
    suite.fleet.replace_host_key(hosts[wrong])
    status, problem = seen(suite, core=["-i", str(suite.key)])
    assert status == "unreachable"
    assert "not the known one" in problem
    assert f"[{hosts[wrong]}]:{suite.fleet.port}" in problem
    assert ("jump host" in problem) == (wrong == "between")
    assert suite.fleet.connections(hosts["behind"]) == (0 if wrong == "between" else 1)


@pytest.mark.parametrize("how", ["args", "variable"])
def test_a_node_without_checking_does_not_take_the_check_from_its_jump_host(suite: Suite, how: str) -> None:
    between, host = next(suite.unused), next(suite.unused)
    off = {"args": {"args": f"-o StrictHostKeyChecking=no {jump(suite, between)}"}}
    off["variable"] = {"args": jump(suite, between), "host_key_checking": "no"}
    suite.add("n", host, **off[how])
    suite.fleet.replace_host_key(host)
    assert seen(suite, core=["-i", str(suite.key)])[0] == "drift"
    suite.fleet.replace_host_key(between)
    status, problem = seen(suite, core=["-i", str(suite.key)])
    assert (status, "jump host" in problem, "not the known one" in problem) == ("unreachable", True, True)


def test_known_hosts_of_a_node_are_not_believed_about_its_jump_host(suite: Suite) -> None:
    between = next(suite.unused)
    suite.add("n", next(suite.unused), args=f"-J root@{between}:{suite.fleet.port}")
    assert "jump host" in seen(suite, core=["-i", str(suite.key)])[1]
    assert suite.fleet.connections(between) == 1


def test_no_sudo_password_goes_to_a_node_whose_key_has_changed_where_checking_is_off(suite: Suite) -> None:
    host = suite.fresh("n", user="operator", become_password=PASSWORD, host_key_checking="no")
    suite.log_sudo(host)
    suite.fleet.replace_host_key(host)
    status, problem = suite.json("apply").statuses["n"], suite.json("apply").problem("n")
    assert status == "failed"
    assert "no sudo password is sent" in problem
    assert suite.sudo_log(host) == ""
    know(suite)
    assert suite.json("apply").statuses["n"] == "changed"


def test_accept_new_remembers_a_jump_host_once_for_many_nodes(suite: Suite) -> None:
    between = next(suite.unused)
    for number in range(5):
        suite.add(f"n{number}", next(suite.unused), args=jump(suite, between))
    know(suite)
    done = suite.json("plan", "--host-keys", "accept-new", core=["-i", str(suite.key)])
    assert set(done.statuses.values()) == {"drift"}
    own = (suite.folder / ".ssh/known_hosts").read_text() + suite.known_hosts.read_text()
    names = sorted({line.split()[0] for line in own.splitlines()})
    assert len(names) == 6
    assert names.count(f"[{between}]:{suite.fleet.port}") == 1


def test_a_jump_host_that_is_dead_or_silent_is_told_from_the_node(suite: Suite) -> None:
    host = next(suite.unused)
    dead, silent = suite.fleet.dead_address(), suite.fleet.silent_address()
    suite.add("behind-dead", host, args=f"-J root@{dead.host}:{dead.port}")
    suite.add("behind-silent", next(suite.unused), args=f"-J root@{silent.host}:{silent.port}")
    suite.add("dead-behind", dead, args=jump(suite, next(suite.unused)))
    suite.add("silent-behind", silent, args=jump(suite, next(suite.unused)))
    done = suite.json("plan", "--timeout", "3", core=["-i", str(suite.key)])
    assert done.code == 4
    assert set(done.statuses.values()) == {"unreachable"}
    assert max(node["seconds"] for node in done.data["nodes"]) < 5
    assert dead.host in done.problem("behind-dead")
    assert silent.host in done.problem("behind-silent")


def test_the_settings_of_ssh_config_lead_through_a_jump_host(suite: Suite) -> None:
    between, host = next(suite.unused), next(suite.unused)
    config = suite.folder / "ssh_config"
    common = f"  Port {suite.fleet.port}\n  User root\n  IdentityFile {suite.key}\n"
    config.write_text(
        f"Host behind\n  HostName {host}\n  ProxyJump between\n"
        f"Host between\n  HostName {between}\n"
        f"Host *\n{common}  UserKnownHostsFile {suite.known_hosts}\n"
    )
    done = suite.json("plan", on="behind", core=["-S", str(config)])
    assert done.statuses == {"behind": "drift"}, done.problem("behind")
    assert [suite.fleet.connections(each) for each in (between, host)] == [1, 1]
    know(suite, entry(suite, host))
    status, problem = seen(suite, on="behind", core=["-S", str(config)])
    assert (status, "unknown" in problem) == ("unreachable", True)
    assert suite.fleet.connections(host) == 1


def test_match_and_include_of_ssh_config_count(suite: Suite) -> None:
    between, host = next(suite.unused), next(suite.unused)
    common = f"  Port {suite.fleet.port}\n  User root\n  IdentityFile {suite.key}\n"
    (suite.folder / "more").write_text(f"Host *\n{common}  UserKnownHostsFile {suite.known_hosts}\n")
    config = suite.folder / "ssh_config"
    config.write_text(
        f'Match originalhost behind exec "test %n = behind"\n  HostName {host}\n  ProxyJump {between}\n'
        f"Host behind\nInclude {suite.folder}/more\nMatch all\nInclude {suite.folder}/more\n"
    )
    done = suite.json("plan", on="behind", core=["-S", str(config)])
    assert done.statuses == {"behind": "drift"}, done.problem("behind")
    assert [suite.fleet.connections(each) for each in (between, host)] == [1, 1]


def test_what_openssh_refuses_of_ssh_config_ends_before_any_connection(suite: Suite) -> None:
    host = suite.fresh("n")
    config = suite.folder / "ssh_config"
    config.write_text("Host *\n  Prot 22\n")
    done = suite.fab("plan", core=["-S", str(config)])
    assert (done.code, done.stdout) == (2, "")
    assert "line 2: Bad configuration option: prot" in done.stderr
    assert "Traceback" not in done.stderr
    assert suite.fleet.connections(host) == 0


@pytest.mark.parametrize("where", ["inventory", "ssh_config"])
def test_a_jump_host_runs_no_command_here(suite: Suite, where: str) -> None:
    mark = suite.folder / "ran"
    word = f"$(touch${{IFS}}{mark})@b"
    config = suite.folder / "ssh_config"
    config.write_text(f"Host *\n  ProxyJump {word}\n" if where == "ssh_config" else "")
    suite.fresh("n", args=f"-J '{word}'" if where == "inventory" else "")
    done = suite.fab("plan", core=["-S", str(config)])
    assert done.code in (2, 4)
    assert "Traceback" not in done.text
    assert not mark.exists()


def test_a_proxy_command_leads_to_the_node_and_its_key_is_checked(suite: Suite) -> None:
    between, host = next(suite.unused), next(suite.unused)
    ssh = f"ssh -F {suite.fleet.client}/ssh_config -W %h:%p root@{between}"
    suite.add("n", host, args=f'-o ProxyCommand="{ssh}"')
    done: Completed = suite.json("apply", on="n")
    assert (done.code, done.statuses) == (0, {"n": "changed"}), done.problem("n")
    suite.fleet.settle()
    suite.fleet.replace_host_key(host)
    assert "not the known one" in seen(suite)[1]


def test_a_proxy_command_that_fails_says_why_in_time_and_is_not_left_behind(suite: Suite) -> None:
    marked = f"sleep 30.{suite.fleet.port}"
    (suite.folder / "ends.sh").write_text("echo no way >&2\nexit 1\n")
    suite.add("ends", next(suite.unused), args=f'-o ProxyCommand="sh {suite.folder}/ends.sh"')
    suite.add("hangs", next(suite.unused), args=f'-o ProxyCommand="{marked}"')
    done = suite.json("plan", "--timeout", "3")
    assert set(done.statuses.values()) == {"unreachable"}
    assert "no way" in done.problem("ends")
    assert done.node("ends")["seconds"] < 2
    assert done.node("hangs")["seconds"] < 5
    assert marked.replace(" ", "\0") not in command_lines()
