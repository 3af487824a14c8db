"""A request that arrives in part, and the login shells that it passes through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.node import script
from tests.support.shells import Shell, needs, run
from tests.support.steps import (
    MARK,
)

BOOT = [
    pytest.param(("dash", "-c"), id="dash", marks=needs("dash")),
    pytest.param(("bash", "--posix", "-c"), id="bash --posix", marks=needs("bash")),
    pytest.param(("busybox", "sh", "-c"), id="busybox sh", marks=needs("busybox")),
]


@pytest.mark.parametrize("argv", BOOT)
def test_a_request_cut_short_runs_nothing_of_it(argv: tuple[str, ...], tmp_path: Path) -> None:
    written = tmp_path / "written.conf"
    data = script.request(MARK, [f"file {written}", "|x", f"keep {written}", "placed", "scan"], changes=True)
    boot = script.command(MARK, 0).removeprefix("exec sh -c '").split("'")[0]
    first_mark = data.index(MARK.encode()) + len(MARK)
    for size in (0, 1, len(data) // 2, first_mark - 1, first_mark, first_mark + 9, len(data) - 32, len(data) - 1):
        done = run([*argv, boot, "nodeprep", str(len(data)), MARK], data[:size])
        assert (done.returncode, done.stdout) == (70, b""), size
    assert list(tmp_path.iterdir()) == []
    done = run([*argv, boot, "nodeprep", str(len(data)), MARK], data)
    assert done.returncode == 0
    assert written.read_text() == "x\n"


LOGIN_SHELLS = [
    pytest.param((*name.split(), "-c"), id=name, marks=needs(name.split()[0]))
    for name in ("dash", "bash", "busybox sh", "fish", "tcsh", "csh", "zsh", "ksh", "mksh")
]


@pytest.mark.parametrize("login", LOGIN_SHELLS)
def test_the_command_passes_through_any_login_shell(login: tuple[str, ...], tmp_path: Path) -> None:
    shell = Shell.named("dash", tmp_path, login=login)
    node = shell.first(["look /proc/sys/kernel/ostype", "scan"])
    assert node.key("kernel.ostype") == "Linux"
