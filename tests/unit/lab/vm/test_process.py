from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest

from lab.vm.process import Process


def test_a_recycled_pid_is_not_alive_and_not_killed() -> None:
    """Same pid, other start time: somebody else's process."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        real = Process.of(child.pid)
        stranger = replace(real, started=real.started - 1)
        assert real.alive()
        assert not stranger.alive()
        stranger.kill()
        assert real.alive()
        real.kill()
        assert not real.alive()
    finally:
        child.kill()
        child.wait()


def test_a_pid_that_is_free_has_no_process() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(ProcessLookupError):
        Process.of(child.pid)
    assert Process.of(os.getpid()).alive()
