"""Verbs as fab lists and explains them."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

from tests.support.project import fab, untouched


def test_the_list_of_verbs_shows_each_with_a_sentence(project: Path) -> None:
    done = fab(project, "--list")
    rows = dict(re.findall(r"^  (\S+) +(\S.*)", done.stdout, re.MULTILINE))
    assert {"plan", "apply", "verify", "fix", "render", "hosts"} <= set(rows)
    assert all(len(words.split()) > 2 for words in rows.values())


def test_hosts_lists_what_is_selected_as_json_and_connects_to_nothing(project: Path, listener: socket.socket) -> None:
    done = fab(project, "-H", "nodes,!n2", "hosts", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [host["name"] for host in json.loads(done.stdout)["hosts"]] == ["n1"]
    assert untouched(listener)


def test_help_has_the_flags_of_the_verb_and_those_of_every_verb(project: Path) -> None:
    done = fab(project, "--help", "apply")
    for flag in ("--comment-out-conflicts", "--force-unlock", "--profile", "--report"):
        assert f"{flag}" in done.stdout
