from __future__ import annotations

import os
import subprocess

from lab.proc import children, descendants, stat_fields


def test_descendants_are_children_and_theirs() -> None:
    shell = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert shell.stdout
        shell.stdout.readline()
        (sleep,) = children(shell.pid)
        assert shell.pid in children(os.getpid())
        assert descendants(os.getpid())[-2:] == [shell.pid, sleep]
    finally:
        os.killpg(shell.pid, 9)
        shell.communicate()


def test_a_process_that_is_gone_has_neither_state_nor_children() -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    assert stat_fields(done.pid) is None
    assert descendants(done.pid) == []
    assert stat_fields(os.getpid())
