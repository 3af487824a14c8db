"""One call of a verb with all of -H, on the real `fab`."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import fabfile
from tasks.cli.executor import CoreFlags, FleetContext
from tests.support.project import fab, untouched


def test_a_verb_is_called_once_with_all_hosts(project: Path, listener: socket.socket) -> None:
    done = fab(project, "-H", "n1,n2", "hosts")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "n1", "n2"]
    assert untouched(listener)


def test_two_verbs_are_called_one_after_the_other(project: Path) -> None:
    done = fab(project, "-H", "n1", "hosts", "hosts", "--format", "json")
    assert done.stdout.startswith("NAME")
    assert done.stdout.count('"hosts"') == 1


def test_a_remote_command_after_two_dashes_is_refused(project: Path) -> None:
    done = fab(project, "-H", "n1", "hosts", "--", "uptime")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "commands after -- are not supported: use ssh, or `fab lab.ssh`\n"


def test_a_fleet_task_cannot_run_a_command_here() -> None:
    context = FleetContext(None, CoreFlags())
    for run in (context.run, context.sudo):
        with pytest.raises(TypeError, match="it works on the selected hosts"):
            run("uptime")


def test_a_verb_answers_to_its_old_words() -> None:
    assert fabfile.ns["show"] is fabfile.ns["render"]
    names = {argument.name: argument.names for argument in fabfile.ns["apply"].get_arguments()}
    assert names["comment_out_conflicts"] == ("comment-out-conflicts", "take-over")
    assert names["force_unlock"] == ("force-unlock",)
