from __future__ import annotations

from pathlib import Path

from lab import keys
from lab.vm import identity


def test_a_node_gets_its_names_and_keys(tmp_path: Path) -> None:
    public = keys.ensure_key(tmp_path / "host", "lab-7")
    archive = identity.node_archive("lab-7", "ssh-ed25519 AAAA client", tmp_path / "host")
    assert b"node/etc/hostname\0" in archive
    assert archive.count(b"ssh-ed25519 AAAA client\n") == len(identity.USERS)
    assert public.encode() in archive
    assert (tmp_path / "host").read_bytes() in archive
