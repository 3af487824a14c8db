"""The passwords that fab's own flags ask for: with a terminal, with a pipe, and with neither."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.project import FAB, environment

SECONDS = 60.0
FLAGS = {
    "--prompt-for-sudo-password": "password for sudo on the nodes",
    "--prompt-for-login-password": "password for the login on the nodes",
    "--prompt-for-passphrase": "passphrase of the SSH keys",
}


def without_terminal(project: Path, flag: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [FAB, flag, "-H", "n1", "hosts"],
        cwd=project,
        env=environment(project),
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
        start_new_session=True,  # so that /dev/tty is nobody's
    )


def on_terminal(project: Path, flag: str, question: str, answer: bytes) -> tuple[int, bytes]:
    """The exit code, and all that the terminal got, where a question is answered with these keys."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(project)
        os.execve(FAB, [str(FAB), flag, "-H", "n1", "hosts"], environment(project))
    output, end = b"", time.monotonic() + SECONDS
    try:
        while time.monotonic() < end and select.select([terminal], [], [], SECONDS)[0]:
            output += os.read(terminal, 4096)
            if answer and question.encode() in output:
                os.write(terminal, answer)
                answer = b""
    except OSError:  # its end: nobody has the terminal open any more
        pass
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), output


@pytest.mark.parametrize("flag", FLAGS)
def test_without_a_terminal_and_without_input_it_is_one_line_and_exit_code_2(flag: str, project: Path) -> None:
    done = without_terminal(project, flag, b"")
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{flag}: got no {FLAGS[flag]}: answer on a terminal, or give it ")


@pytest.mark.parametrize("flag", FLAGS)
def test_without_a_terminal_the_first_line_of_stdin_is_taken_without_a_warning(flag: str, project: Path) -> None:
    done = without_terminal(project, flag, b"hunter2\n")
    assert (done.returncode, done.stdout.split()[:1]) == (0, [b"NAME"])
    assert b"hunter2" not in done.stdout
    assert done.stderr == b""


def test_bytes_that_are_not_text_are_a_mistake(project: Path) -> None:
    done = without_terminal(project, "--prompt-for-sudo-password", b"\xff\xfe\n")
    assert done.returncode == 2
    assert b"expected text, got bytes that are not UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("keys", "code", "shown"),
    [(b"hunter2\n", 0, b"n1"), (b"\x04", 2, b"got no password for sudo"), (b"\x03", 130, b"")],
)
def test_on_a_terminal_the_question_says_what_it_is_for_and_can_be_left(
    keys: bytes, code: int, shown: bytes, project: Path
) -> None:
    done, output = on_terminal(project, "--prompt-for-sudo-password", "password for sudo on the nodes: ", keys)
    assert (done, b"config value" in output, b"hunter2" in output, b"Traceback" in output) == (
        code,
        False,
        False,
        False,
    )
    assert shown in output
