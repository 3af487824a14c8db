"""A host's record: what is not set is left to ssh_config, and no repr shows a password."""

from __future__ import annotations

from tasks.core.host import Become, Host, HostKeys, SshOptions
from tasks.core.redact import Secret


def test_a_bare_host_leaves_everything_to_ssh_config() -> None:
    host = Host("n1", "192.0.2.1")
    assert (host.port, host.user, host.ssh.host_keys, host.ssh.key_files, host.become.wanted) == (
        None,
        None,
        None,
        (),
        None,
    )


def test_no_repr_of_a_host_shows_its_passwords() -> None:
    host = Host("n1", "n1", ssh=SshOptions(password=Secret("hunter2")), become=Become(password=Secret("hunter3")))
    assert "hunter" not in f"{host} {host!r} {[host]}"


def test_the_words_for_host_keys_are_those_of_the_flag() -> None:
    assert [str(mode) for mode in HostKeys] == ["strict", "accept-new", "off"]
