"""Requests that follow each other, and replies in a login shell that has its own words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.core.errors import RemoteError
from tasks.core.facts import Facts
from tasks.core.protocol.reply import parse_reply
from tasks.node import script
from tests.support.shells import SHELLS, Shell, run
from tests.support.steps import MARK


def test_more_requests_follow_on_the_same_channel(shell: Shell) -> None:
    with shell.open() as far:
        one = far.begin(["look /proc/sys/kernel/ostype", "scan"])
        two = far.again(["look /proc/sys/kernel/osrelease", "scan"])
        three = far.again(["scan"], changes=True)
    assert one.key("kernel.ostype") == "Linux"
    assert two.key("kernel.ostype") is None
    assert two.kernel == os.uname().release
    assert three.uid == os.getuid()


def test_the_end_of_input_ends_the_script_without_a_word(shell: Shell) -> None:
    with shell.open() as far:
        far.begin(["scan"])
        assert far.finish() == (0, b"")


def test_a_login_shell_may_print_before_the_reply(shell: Shell) -> None:
    chatty = Shell(shell.folder, ("sh", "-c", 'echo "Welcome begin"; echo u7; echo "\\377"; exec sh -c "$0"'))
    assert chatty.first(["look /proc/sys/kernel/ostype", "scan"]).key("kernel.ostype") == "Linux"


def test_a_script_that_never_answers_is_told_with_what_it_said(tmp_path: Path) -> None:
    closed = Shell(Shell.named("dash", tmp_path).folder, ("sh", "-c", "echo This account is closed; exit 1"))
    with closed.open() as far, pytest.raises(RemoteError, match="This account is closed"):
        far.begin(["scan"])


def test_facts_are_what_the_reply_of_the_script_is_parsed_to(dash: Shell) -> None:
    assert isinstance(dash.first(["scan"]), Facts)
    with pytest.raises(RemoteError):
        parse_reply("")


@pytest.mark.parametrize("name", sorted(SHELLS.keys() - {"busybox"}))  # whose grep is its own
@pytest.mark.parametrize("program", ["grep", "ls"])
def test_a_request_that_reads_ends_with_its_connection_whatever_it_waits_for(
    name: str, program: str, tmp_path: Path
) -> None:
    """The end of stdout, which finish() waits for, comes when no process has it any more: neither sh nor its child."""
    shell = Shell.named(name, tmp_path)
    os.mkfifo(tmp_path / "begun")
    os.mkfifo(tmp_path / "never")
    shell.stub(program, f'echo >"{tmp_path}/begun"; exec cat "{tmp_path}/never"')
    with shell.open() as far:
        data = script.request(MARK, ["want x x", "scan"])
        far.start(script.command(MARK, len(data)), data)
        (tmp_path / "begun").read_text()
        status, said = far.finish()
    assert (status, said.endswith(b" end\n")) == (0, False)


def test_a_change_is_answered_to_its_end_though_the_connection_ends(tmp_path: Path) -> None:
    lines = [f"file {tmp_path}/x.conf", "|x", f"keep {tmp_path}/x.conf", "placed", "scan"]
    data = script.request(MARK, lines, changes=True)
    done = run(["sh", "-c", script.command(MARK, len(data))], data)
    assert (done.returncode, done.stdout.endswith(f"{MARK} end\n".encode())) == (0, True)
