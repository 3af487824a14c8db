"""The route to a node from the inventory, ssh_config and fabric's settings, in that order."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import fabric
import pytest

from tasks.core.errors import UnreachableError
from tasks.core.host import Host, SshOptions
from tasks.ssh.proxy import expand
from tasks.ssh.route import Access, find_route


def access(ssh_config: str = "", **overrides: Any) -> Access:
    config = fabric.Config(overrides={"user": "me", **overrides}, lazy=True)
    config.base_ssh_config.parse(StringIO(ssh_config))
    return Access.of(config, None)


class Settings(NamedTuple):
    """An ssh_config with the same settings for every host."""

    settings: dict[str, Any]

    def lookup(self, name: str, user: str = "") -> dict[str, Any]:
        return self.settings


def way(host: Host, given: Access) -> list[str]:
    """Return the hops as texts, after the ProxyCommand if there is one."""
    found = find_route(host, given)
    return [*filter(None, [found.proxy_command]), *map(str, found.hops)]


def node(port: int | None = None, user: str | None = None, **options: Any) -> Host:
    return Host("n", "n.example", port, user, ssh=SshOptions(**options))


CONFIG = """
Host n.example
  HostName 192.0.2.7
  Port 2222
  User them
  IdentityFile /keys/config
Host a b
  HostName %h.example
Host jumped
  ProxyJump a,b
Host chained
  ProxyJump jumped
Host commanded
  ProxyCommand nc %h %p
"""


def test_the_resolver_is_not_asked_for_our_own_name_for_each_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("paramiko.config.LazyFqdn.__str__", lambda _: asked.append(1) or "me.example")  # type: ignore[func-returns-value]
    for name in ("plain", "me.example"):
        (tmp_path / name).write_text("")
    given = access(f"Host *\n  IdentityFile {tmp_path}/plain\n  UserKnownHostsFile ~/known/%h\n")
    (hop,) = find_route(node(), given).hops
    assert (hop.key_files, asked) == ((f"{tmp_path}/plain",), [])
    given = access(f"Host *\n  IdentityFile {tmp_path}/%l\n")
    (hop,) = find_route(node(), given).hops
    assert (hop.key_files, len(asked)) == ((f"{tmp_path}/me.example",), 1)


@pytest.mark.parametrize(
    ("host", "config", "expected"),
    [
        (node(), "", ["me@n.example:22"]),
        (node(23, "you"), "", ["you@n.example:23"]),
        (node(), CONFIG, ["them@192.0.2.7:2222"]),
        (node(23, "you"), CONFIG, ["you@192.0.2.7:23"]),
        (node(proxy_jump="a"), CONFIG, ["me@a.example:22", "them@192.0.2.7:2222"]),
        (node(proxy_jump="x@a:7,b"), CONFIG, ["x@a.example:7", "me@b.example:22", "them@192.0.2.7:2222"]),
        (node(proxy_jump="x@[2001:db8::1]:7"), "", ["x@2001:db8::1:7", "me@n.example:22"]),
        (node(proxy_jump="2001:db8::1"), "", ["me@2001:db8::1:22", "me@n.example:22"]),
        (node(proxy_command="ssh -W %h:%p x"), CONFIG, ["ssh -W %h:%p x", "them@192.0.2.7:2222"]),
        (Host("j", "jumped"), CONFIG, ["me@a.example:22", "me@b.example:22", "me@jumped:22"]),
        (Host("c", "chained"), CONFIG, ["me@a.example:22", "me@b.example:22", "me@jumped:22", "me@chained:22"]),
        (Host("p", "commanded"), CONFIG, ["nc %h %p", "me@commanded:22"]),
        (Host("j", "jumped", ssh=SshOptions(proxy_jump="none")), CONFIG, ["me@jumped:22"]),
        (Host("p", "commanded", ssh=SshOptions(proxy_command="none")), CONFIG, ["me@commanded:22"]),
        (node(), "Host *\n ProxyJump a", ["me@a:22", "me@n.example:22"]),
        (Host("a", "a"), "Host *\n ProxyJump a", ["me@a:22"]),
        (Host("a", "a"), "Host a\n ProxyJump b\nHost b\n ProxyJump a", ["me@b:22", "me@a:22"]),
    ],
)
def test_the_way_to_a_node_is_that_of_openssh(host: Host, config: str, expected: list[str]) -> None:
    assert way(host, access(config)) == expected


def test_a_jump_host_that_is_none_is_an_error_of_that_node() -> None:
    with pytest.raises(UnreachableError, match="not a jump host"):
        find_route(node(proxy_jump="a:b"), access())


@pytest.mark.parametrize(
    "word", ["$(touch x)", "a;b", "-oProxyCommand=x", "-l@a", "$(x)@a", "a b", "`x`@a:22", "[$(x)]:22"]
)
@pytest.mark.parametrize("where", ["inventory", "ssh_config"])
def test_a_jump_host_that_could_be_more_than_a_name_to_a_shell_is_refused(word: str, where: str) -> None:
    host = node(proxy_jump=word) if where == "inventory" else node()
    with pytest.raises(UnreachableError, match="is not a jump host"):
        find_route(host, access(f"Host *\n  ProxyJump {word}\n"))


def test_a_host_name_of_ssh_config_that_could_be_more_is_refused() -> None:
    with pytest.raises(UnreachableError, match=r"HostName of n\.example in ssh_config"):
        find_route(node(), access("Host *\n  HostName $(x)\n"))


def test_a_proxy_command_keeps_its_tokens_for_the_inventorys_port_and_user() -> None:
    given = access("Host *\n  Port 2222\n  User them\n  ProxyCommand nc %h %p -l %r -n %n %%\n  HostName 192.0.2.7\n")
    found = find_route(node(23, "you"), given)
    hop = found.hops[-1]
    command = expand(found.proxy_command, hop.host, hop.port, hop.user, hop.name)
    assert command == "nc 192.0.2.7 23 -l you -n n.example %"


def test_paths_of_ssh_config_have_their_tokens_expanded_and_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHERE", str(tmp_path))
    names = ["n.example-192.0.2.7-23-you%", "own", "by-variable", "own-cert.pub"]
    for name in names:
        (tmp_path / name).write_text("")
    settings = {
        "hostname": "192.0.2.7",
        "identityfile": ["~/%n-%h-%p-%r%%", "%d/own", "${WHERE}/by-variable", "~/missing", "none"],
        "certificatefile": ["~/own-cert.pub"],
    }
    given = access()._replace(ssh_config=Settings(settings))  # type: ignore[arg-type]
    (hop,) = find_route(node(23, "you"), given).hops
    assert hop.key_files == tuple(str(tmp_path / name) for name in names)
    with pytest.raises(UnreachableError, match="%T in /x/%T of ssh_config is not supported here"):
        find_route(node(), access()._replace(ssh_config=Settings({"identityfile": ["/x/%T"]})))  # type: ignore[arg-type]


def test_keys_are_tried_in_the_order_command_line_inventory_ssh_config_each_once(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("")
    given = access(CONFIG.replace("/keys/config", str(config)), connect_kwargs={"key_filename": ["/cli", "/own"]})
    found = find_route(node(key_files=("/own", "/more")), given).hops[-1]
    assert found.key_files == ("/cli", "/own", "/more", str(config))


def test_fabrics_own_settings_are_read_once_and_count_last() -> None:
    given = access(gateway="nc %h %p", port=24, timeouts={"connect": 3}, connect_kwargs={"password": "x", "timeout": 4})
    assert way(node(), given) == ["nc %h %p", "me@n.example:24"]
    assert (given.seconds, dict(given.login)) == (4.0, {"password": "x"})
