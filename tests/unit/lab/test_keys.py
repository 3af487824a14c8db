from __future__ import annotations

import subprocess
from pathlib import Path

from lab import keys


def test_a_key_is_made_once(tmp_path: Path) -> None:
    assert keys.ensure_key(tmp_path / "key", "a") == keys.ensure_key(tmp_path / "key", "b")


def test_only_the_owner_reads_a_private_key_and_openssh_takes_it(tmp_path: Path) -> None:
    """Also where a file of that name was readable to all before."""
    (tmp_path / "key").touch(mode=0o644)
    public = keys.new_key(tmp_path / "key", "lab-7")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key.pub").read_text() == f"{public} lab-7\n"
    read = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "key"], capture_output=True, text=True, check=True)
    assert read.stdout.split()[:2] == public.split()
