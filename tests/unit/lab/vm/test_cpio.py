from __future__ import annotations

import subprocess

import pytest

from lab.vm import cpio, programs


@pytest.mark.skipif(programs.find("busybox") is None, reason="needs busybox to read the archive with")
def test_another_program_reads_the_archive() -> None:
    data = cpio.archive([cpio.folder("d", 0o700), cpio.file("d/f", b"text", 0o600, 1000)])
    done = subprocess.run(["busybox", "cpio", "-tv"], input=data, capture_output=True, check=True)
    folder, file, *_ = done.stdout.decode().splitlines()
    assert folder.split()[0] == "drwx------"
    assert file.split()[0] == "-rw-------"
    assert "1000" in file


def test_archive_members_are_aligned_and_ended() -> None:
    data = cpio.archive([cpio.file("f", b"12345")])
    assert len(data) % 4 == 0
    assert data.startswith(b"070701")
    assert b"TRAILER!!!\0" in data
