from __future__ import annotations

from pathlib import Path

from lab.vm import image, qemu


def test_the_command_line_listens_on_loopback_only(tmp_path: Path) -> None:
    command = qemu.command_line(name="lab-2", port=2202, image=image.Image(tmp_path), accel=qemu.TCG)
    assert "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2202-:22" in command
    assert command[command.index("-accel") + 1] == "tcg,thread=multi"
    assert command[command.index("-kernel") + 1] == str(tmp_path / "vmlinuz")
    assert command[command.index("-name") + 1] == "lab-2"
