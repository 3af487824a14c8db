"""verify as a user who may do nothing at all: no sudo, not even one that asks for a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.vm.lab import Lab
from lab.vm.node import Node
from tests.lab.suite import LabSuite

pytestmark = [pytest.mark.lab, pytest.mark.full]

USER = "guest"
MADE = (
    f"useradd -m -s /bin/sh {USER} && cp -r /root/.ssh /home/{USER}/ && chown -R {USER}: /home/{USER}/.ssh &&"
    "echo LogLevel DEBUG1 > /etc/ssh/sshd_config.d/loud.conf && systemctl restart ssh"
)
UNMADE = f"userdel -r {USER}; rm /etc/ssh/sshd_config.d/loud.conf; systemctl restart ssh"
DISK = "find / /run /dev -xdev ! -path '*/journal*' -printf '%p %y %m %U %s %T@ %C@\\n'"
LOG = "journalctl --sync; journalctl --unit ssh --output cat --no-pager"


def disk(node: Node) -> set[str]:
    """Every file and folder of the node's file systems: path, type, mode, owner, size, and both times of change."""
    return set(node.run(DISK).stdout.splitlines())


def changed(before: set[str], after: set[str]) -> set[str]:
    """The paths that are new, gone or other than before."""
    return {line.split(" ")[0] for line in before ^ after}


def test_verify_without_any_right_writes_nothing_in_one_channel_of_one_connection(lab: Lab, tmp_path: Path) -> None:
    """Seen on the node: by sshd's own log, and by every file's times, but for what a login without verify changes, too
    (/var/log/wtmp, /run/motd.dynamic, ...)."""
    node = lab.nodes[1]
    assert LabSuite(lab, tmp_path).fab("apply", on=node.name).code == 0
    made = node.run(MADE)
    assert made.returncode == 0, made.stderr
    node.wait_ready()
    try:
        assert node.run("sudo -n true", user=USER).returncode == 1
        idle = disk(node)
        assert node.run("true", user=USER).returncode == 0
        before = disk(node)
        seen = len(node.run(LOG).stdout.splitlines())

        verify = LabSuite(lab, tmp_path, user=USER).fab("verify", on=node.name)

        log = node.run(LOG).stdout.splitlines()[seen:]
        assert (verify.code, verify.statuses) == (0, {node.name: "ok"}), verify.text
        assert len(before) > 5000
        assert changed(before, disk(node)) - changed(idle, before) == set()
        ours, _, look = (
            "\n".join(log).partition(f"Accepted publickey for {USER}")[2].partition("Accepted publickey for root")
        )
        assert look
        assert (ours.count("ctype session"), "Accepted publickey" in ours) == (1, False), ours
    finally:
        node.run(UNMADE)
        node.wait_ready()
