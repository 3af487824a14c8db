"""Nodes that say what they should not: it stays their own trouble, and nothing of it reaches the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet import Fleet
from tests.ssh.suite import SYSCTL, Said, Suite

ESCAPES = "\x1b[31m\x1b]0;owned\x07\x9b5m\x1b[2J\r"
# What a login shell runs before our script, and what becomes of the node.
SHELLS: dict[str, tuple[str, str]] = {
    "plain": ("", "changed"),
    "escapes": (f"printf '%s' '{ESCAPES}'; printf '%s\\n' '{ESCAPES}' >&2", "changed"),
    "binary": ("head -c 100000 /dev/urandom; printf '\\0\\0\\377\\376\\n'", "changed"),
    "lines": ("yes '0123456789abcdef begin' | head -n 20000", "changed"),
    "junk": ("head -c 50000000 /dev/zero", "failed"),
    "endless": ("exec yes", "failed"),
    "hangs": ("exec sleep 1000", "failed"),
    "drips": ("while :; do printf .; sleep 0.1; done", "failed"),
    "ends": (f"printf '%s' '{ESCAPES}no service today'; exit 3", "failed"),
    "killed": ("kill -9 $$", "failed"),
    "unread": ("exec 0</dev/null", "failed"),
    "forges": (
        'set -- $BASH_EXECUTION_STRING; for m; do :; done; echo "$m begin"; echo nonsense; echo "$m end"; sleep 1000',
        "failed",
    ),
}
TIMEOUT = 8


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(20) as many:
        yield many


@pytest.fixture(scope="module")
def hostile(fleet: Fleet, unused: Iterator[str], tmp_path_factory: pytest.TempPathFactory) -> Suite:
    suite = Suite(fleet, tmp_path_factory.mktemp("hostile"), unused)
    for name, (bashrc, _) in SHELLS.items():
        host = suite.fresh(name)
        fleet.write(host, "/root/.bashrc", bashrc)
    return suite


@pytest.fixture(scope="module")
def applied(hostile: Suite) -> Said:
    return hostile.json("apply", "--timeout", str(TIMEOUT))


def assert_printable(done: Said) -> None:
    """Nothing that a terminal would act on, but for line breaks."""
    text = done.stdout + done.stderr
    assert sorted({char for char in text if not char.isprintable() and char != "\n"}) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_hostile_login_shell_is_that_nodes_trouble_alone(applied: Said, shell: str) -> None:
    assert applied.statuses[shell] == SHELLS[shell][1], applied.problem(shell)
    assert applied.node(shell)["seconds"] < TIMEOUT + 2
    if SHELLS[shell][1] == "failed":
        assert applied.node(shell)["problem"]
        assert applied.node(shell)["next_step"]
        assert "bug" not in applied.problem(shell)


def test_the_reasons_are_told_apart(applied: Said) -> None:
    parts = {
        "junk": "bytes",
        "endless": "bytes",
        "hangs": f"no answer within {TIMEOUT} s",
        "drips": f"no answer within {TIMEOUT} s",
        "ends": "status 3",
        "unread": "status 70",
        "forges": "makes no sense",
    }
    assert {shell for shell, part in parts.items() if part not in applied.problem(shell)} == set()
    assert "no service today" in applied.problem("ends")


def test_json_of_hostile_nodes_holds_nothing_for_a_terminal(applied: Said) -> None:
    assert applied.code == 4
    assert_printable(applied)


def test_text_of_hostile_nodes_holds_nothing_for_a_terminal(hostile: Suite) -> None:
    done = hostile.fab("verify", "--timeout", "3", on="escapes,binary,ends,unread,forges,killed")
    assert done.code == 4
    assert_printable(done)


def test_a_failed_node_was_not_changed(applied: Said, hostile: Suite) -> None:
    assert applied.data["counts"]["failed"] == len([shell for shell in SHELLS.values() if shell[1] == "failed"])
    hosts = {name: line.split("'")[1] for name, line in hostile.lines.items()}
    written = {name for name, host in hosts.items() if hostile.fleet.path(host, SYSCTL).exists()}
    assert written == {name for name, shell in SHELLS.items() if shell[1] == "changed"}


# ---- values ----


def test_a_nodes_values_are_printed_harmlessly(suite: Suite) -> None:
    host = suite.fresh("n")
    suite.set_value(host, "net.core.somaxconn", ESCAPES)
    suite.set_value(host, "kernel.hostname", ESCAPES)
    suite.fleet.write(host, "/etc/sysctl.d/\x1b[31mred.conf", "net.core.somaxconn = 5\n")
    suite.fleet.write(host, "/etc/sysctl.d/zzz-later.conf", f"net.core.somaxconn = {ESCAPES}\n")
    for verb in ("plan", "verify", "show"):
        assert_printable(suite.fab(verb))
        assert_printable(suite.json(verb))
    assert "[31m" in suite.json("plan").items("n")["net.core.somaxconn"]["got"]


def test_a_template_with_a_nodes_hostname_is_shown_harmlessly(suite: Suite) -> None:
    templates = profile(suite.folder, "greeting", "# {{ facts.hostname }}\nkernel.msgmax = 8192\n")
    host = suite.fresh("n")
    suite.set_value(host, "kernel.hostname", ESCAPES)
    env = {"FABRIC_NODEPREP_TEMPLATES": str(templates)}
    for verb in ("show", "plan", "apply"):
        for words in ((), ("--format", "json")):
            done = suite.fab(verb, "--profile", "greeting", *words, env=env)
            assert_printable(done)


def test_a_hostname_cannot_add_a_line_to_a_file(suite: Suite) -> None:
    templates = profile(suite.folder, "own", "kernel.domainname = {{ facts.hostname }}\n")
    host = suite.fresh("n")
    suite.set_value(host, "kernel.hostname", "a\nkernel.sysrq = 1\x00\x0bkernel.panic = 1")
    done = suite.json("apply", "--profile", "own", env={"FABRIC_NODEPREP_TEMPLATES": str(templates)})
    assert (suite.value(host, "kernel.sysrq"), suite.value(host, "kernel.panic")) == ("438", "0")
    assert "bug" not in done.problem("n")


def profile(folder: Path, name: str, sysctl: str) -> Path:
    """A folder of templates with one profile."""
    path = folder / "templates" / name / "sysctl.conf.j2"
    path.parent.mkdir(parents=True)
    path.write_text(sysctl)
    return folder / "templates"


def test_a_node_that_falls_silent_in_the_middle_of_a_change_is_bounded(suite: Suite) -> None:
    host = suite.fresh("n")
    suite.fresh("other")
    suite.fleet.write(host, "/usr/sbin/modprobe", "#!/bin/sh\nexec sleep 1000\n")
    start = time.monotonic()
    done = suite.json("apply", "--timeout", "3")
    assert time.monotonic() - start < 8
    assert (done.code, done.statuses) == (4, {"n": "failed", "other": "changed"})
    assert "no answer within 3 s" in done.problem("n")
