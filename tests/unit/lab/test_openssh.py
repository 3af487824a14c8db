from __future__ import annotations

from lab import openssh


def test_known_hosts_names_the_port() -> None:
    assert (
        openssh.known_hosts_line("127.0.0.1", 2203, "ssh-ed25519 AAAA lab-3") == "[127.0.0.1]:2203 ssh-ed25519 AAAA\n"
    )
