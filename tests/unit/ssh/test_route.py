"""The route to a node from the inventory, ssh_config and fabric's settings, in that order."""

from __future__ import annotations

from io import StringIO
from typing import Any

import fabric
import pytest

from tasks.core.errors import UnreachableError
from tasks.core.host import Host, SshOptions
from tasks.ssh.route import Access, find_route


def access(ssh_config: str = "", **overrides: Any) -> Access:
    config = fabric.Config(overrides={"user": "me", **overrides}, lazy=True)
    config.base_ssh_config.parse(StringIO(ssh_config))
    return Access.of(config, None)


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


def test_the_resolver_is_not_asked_for_our_own_name_for_each_node(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("paramiko.config.LazyFqdn.__str__", lambda _: asked.append(1) or "me.example")  # type: ignore[func-returns-value]
    given = access("Host *\n  IdentityFile /keys/plain\n  UserKnownHostsFile ~/known/%h\n")
    (hop,) = find_route(node(), given).hops
    assert (hop.key_files, asked) == (("/keys/plain",), [])
    given = access("Host *\n  IdentityFile /keys/%l\n")
    (hop,) = find_route(node(), given).hops
    assert (hop.key_files, len(asked)) == (("/keys/me.example",), 1)


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
        (Host("p", "commanded"), CONFIG, ["nc commanded 22", "me@commanded:22"]),
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


def test_keys_are_tried_in_the_order_command_line_inventory_ssh_config_each_once() -> None:
    given = access(CONFIG, connect_kwargs={"key_filename": ["/keys/cli", "/keys/own"]})
    found = find_route(node(key_files=("/keys/own", "/keys/more")), given).hops[-1]
    assert found.key_files == ("/keys/cli", "/keys/own", "/keys/more", "/keys/config")


def test_fabrics_own_settings_are_read_once_and_count_last() -> None:
    given = access(gateway="nc %h %p", port=24, timeouts={"connect": 3}, connect_kwargs={"password": "x", "timeout": 4})
    assert way(node(), given) == ["nc %h %p", "me@n.example:24"]
    assert (given.seconds, dict(given.login)) == (4.0, {"password": "x"})
