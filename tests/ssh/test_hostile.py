"""Output of hostile nodes harms neither other nodes nor the terminal."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lab.fleet.fleet import Address, Fleet
from tests.ssh.suite import SYSCTL, Completed, Suite, serving

# Colour, title, clear screen, a link (C0, OSC), the same as C1, a device's string, marks of direction, a line's end.
ESCAPES = "\x1b[31m\x1b]0;owned\x07\x1b[2J\x1b]8;;http://x\x1b\\\x9b5m\x9d0;owned\x9c\x1bPq\u202e\u2066\u200f\u2028\r"
# bash's own words for what it was told to run end with the mark: what comes after looks like a reply of ours.
FORGED = 'set -- $BASH_EXECUTION_STRING; for m; do :; done; echo "$m begin";'
ROOT = 'echo "$m found"; printf "/proc/self/status:Uid:\\t0\\n"; echo "$m ";'
# What a login shell runs before our script, and what becomes of the node.
SHELLS: dict[str, tuple[str, str]] = {
    "plain": ("", "changed"),
    "escapes": (f"printf '%s' '{ESCAPES}'; printf '%s\\n' '{ESCAPES}' >&2", "changed"),
    "binary": ("head -c 100000 /dev/urandom; printf '\\0\\0\\377\\376\\n'", "changed"),
    "lines": ("yes '0123456789abcdef begin' | head -n 20000", "changed"),
    "junk": ("head -c 100000000 /dev/zero", "failed"),
    "endless": ("exec yes", "failed"),
    "hangs": ("exec sleep 1000", "failed"),
    "drips": ("while :; do printf .; sleep 0.1; done", "failed"),
    "ends": (f"printf '%s' '{ESCAPES}no service today'; exit 3", "failed"),
    "killed": ("kill -9 $$", "failed"),
    "unread": ("exec 0</dev/null", "failed"),
    "forges": (f'{FORGED} echo nonsense; echo "$m end"; sleep 1000', "failed"),
    "nuls": (f'{FORGED} head -c 100000 /dev/zero; echo; echo "$m end"; sleep 1000', "failed"),
    "latin": (
        (
            f"{FORGED} {ROOT} printf '\\377\\376\\300\\200'; yes $'r/\\355\\240\\200' | head -n 9999; "
            'echo "$m end"; sleep 1000'
        ),
        "failed",
    ),
    "bottomless": (f"{FORGED} head -c 100000000 /dev/zero | tr '\\0' r; echo; sleep 1000", "failed"),
    "crowded": (f'{FORGED} {ROOT} seq -f r/proc/sys/a/%.0f 1 99999; echo "$m end"; sleep 1000', "failed"),
}
TIMEOUT = 8


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(24) as many:
        yield many


@pytest.fixture(scope="module")
def hostile(fleet: Fleet, unused: Iterator[str], tmp_path_factory: pytest.TempPathFactory) -> Suite:
    suite = Suite(fleet, tmp_path_factory.mktemp("hostile"), unused)
    for name, (bashrc, _) in SHELLS.items():
        host = suite.fresh(name)
        fleet.write(host, "/root/.bashrc", bashrc)
    return suite


@pytest.fixture(scope="module")
def applied(hostile: Suite) -> Completed:
    return hostile.json("apply", "--timeout", str(TIMEOUT))


def assert_printable(done: Completed) -> None:
    """Assert that the output has no control character except line breaks."""
    text = done.stdout + done.stderr
    assert sorted({char for char in text if not char.isprintable() and char != "\n"}) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_hostile_login_shell_is_that_nodes_trouble_alone(applied: Completed, shell: str) -> None:
    assert applied.statuses[shell] == SHELLS[shell][1], applied.problem(shell)
    assert applied.node(shell)["seconds"] < TIMEOUT + 2
    if SHELLS[shell][1] == "failed":
        assert applied.node(shell)["problem"]
        assert applied.node(shell)["next_step"]
        assert "bug" not in applied.problem(shell)


def test_the_reasons_are_told_apart(applied: Completed) -> None:
    parts = {
        "junk": "bytes",
        "endless": "bytes",
        "hangs": f"no answer within {TIMEOUT} s",
        "drips": f"no answer within {TIMEOUT} s",
        "ends": "status 3",
        "unread": "status 70",
        "forges": "makes no sense",
        "nuls": "a line of more than 65536 characters",
        "latin": f"no answer within {TIMEOUT} s",
        "bottomless": "bytes",
        "crowded": "more than 100000 lines",
    }
    assert {shell for shell, part in parts.items() if part not in applied.problem(shell)} == set()
    assert "no service today" in applied.problem("ends")


def test_json_of_hostile_nodes_holds_nothing_for_a_terminal(applied: Completed) -> None:
    assert applied.code == 4
    assert_printable(applied)


def test_text_of_hostile_nodes_holds_nothing_for_a_terminal(hostile: Suite) -> None:
    for words in ((), ("--format", "junit")):
        done = hostile.fab("verify", "--timeout", "3", *words, on="escapes,binary,ends,unread,forges,nuls,killed")
        assert done.code == 4
        assert_printable(done)


# What the progress line and the table write on a terminal: colours, the cursor away and back, up, and a line cleared.
OURS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[\?25[hl]|\x1b\[1?A|\x1b\[2K|\r")


def test_a_terminal_gets_only_our_own_colours(hostile: Suite) -> None:
    code, seen = hostile.on_terminal(
        hostile.command("verify", "--timeout", "3", on="escapes,binary,ends,forges,killed")
    )
    assert code == 4, seen
    assert b"no service today" in seen
    left = OURS.sub(b"", seen).decode()
    assert sorted({char for char in left if not char.isprintable() and char != "\n"}) == []


PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def measured(suite: Suite, command: Sequence[str]) -> tuple[Completed, int]:
    """Return a finished command, and its peak memory in MiB."""
    process = suite.start([sys.executable, "-c", PEAK, *command])
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    lines = err.splitlines(keepends=True)
    return Completed(process.returncode, out, b"".join(lines[:-1])), int(lines[-1]) // 1024


USUAL = 80  # MiB of fab with a few nodes; 53 were measured
MORE = 40  # MiB that one node may add; 29 were measured


@pytest.mark.parametrize("shell", ["plain", "junk", "bottomless", "endless", "crowded"])
def test_a_node_that_floods_us_takes_a_bounded_piece_of_our_memory(shell: str, hostile: Suite) -> None:
    command = hostile.command("verify", "--timeout", "20", "--format", "json", on=f"lines,{shell}")
    done, mebibytes = measured(hostile, command)
    assert done.statuses["lines"] in ("ok", "drift")
    assert mebibytes < USUAL + (MORE if shell != "plain" else 0)


def test_a_failed_node_was_not_changed(applied: Completed, hostile: Suite) -> None:
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
    for verb in ("plan", "verify", "render"):
        assert_printable(suite.fab(verb))
        assert_printable(suite.json(verb))
    assert "[31m" in suite.json("plan").items("n")["net.core.somaxconn"]["got"]


def test_a_template_with_a_nodes_hostname_is_shown_harmlessly(suite: Suite) -> None:
    templates = profile(suite.folder, "greeting", "# {{ facts.hostname }}\nkernel.msgmax = 8192\n")
    host = suite.fresh("n")
    suite.set_value(host, "kernel.hostname", ESCAPES)
    env = {"FABRIC_NODEPREP_TEMPLATES": str(templates)}
    for verb in ("render", "plan", "apply"):
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
    """Return a folder of templates with one profile."""
    path = folder / "templates" / name / "sysctl.conf.j2"
    path.parent.mkdir(parents=True)
    path.write_text(sysctl)
    return folder / "templates"


def test_a_modprobe_that_hangs_is_ended_on_the_node_and_named(suite: Suite) -> None:
    host = suite.fresh("n")
    suite.fresh("other")
    suite.fleet.write(host, "/usr/sbin/modprobe", "#!/bin/sh\nexec sleep 1000\n")
    done = suite.json("apply", "--timeout", "10")
    assert (done.code, done.statuses) == (4, {"n": "failed", "other": "changed"})
    assert "overlay" in done.items("n", wrong=True)


# ---- servers that are no sshd ----


@contextlib.contextmanager
def server(greeting: bytes, again: bytes = b"") -> Iterator[Address]:
    """Run a server that sends a greeting, then `again` until the client closes."""

    def conversation(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.sendall(greeting)
            while again:
                client.sendall(again)

    with serving(conversation) as address:
        yield address


GREETINGS = {
    "web": (f"HTTP/1.1 400 {ESCAPES}\r\n".encode(), b""),
    "old": (f"SSH-1.5-{ESCAPES}\r\n".encode(), b""),
    "coloured": (f"{ESCAPES}\r\nSSH-2.0-{ESCAPES}\r\n".encode() + bytes(1000), b""),
    "binary": (bytes(range(256)), b""),
    "nuls": (b"", bytes(65536)),
    "lines": (b"", b"hello\r\n" * 1000),
    "huge packet": (b"SSH-2.0-x\r\n\x7f\xff\xff\xff", bytes(65536)),
}


@pytest.mark.parametrize("greeting", GREETINGS)
def test_whatever_answers_in_place_of_sshd_is_that_nodes_trouble_alone(greeting: str, suite: Suite) -> None:
    with server(*GREETINGS[greeting]) as address:
        suite.add("n", address)
        suite.add("other", suite.fleet.hosts[0])
        done, mebibytes = measured(suite, suite.command("verify", "--timeout", "4", "--format", "json"))
    assert (done.code, done.statuses["n"]) == (4, "unreachable")
    assert done.statuses["other"] in ("drift", "ok")
    assert done.node("n")["seconds"] < 6
    assert "bug" not in done.problem("n")
    assert_printable(done)
    assert mebibytes < USUAL + MORE


# ---- the admin's own files and words ----


def test_escapes_in_the_admins_own_files_and_words_are_not_acted_on_either(suite: Suite) -> None:
    suite.add("n", suite.fleet.hosts[0], args=f"-o Tunnel={ESCAPES[:4]}\u202e", x="\x1b[31m\u202e")
    for words in ((), ("--format", "json")):
        told = suite.fab("hosts", *words)
        assert told.code == 0, told.stderr
        assert_printable(told)
    assert_printable(suite.fab("verify", core=["-d"]))
    refused = [
        suite.fab("plan", on=f"n,{ESCAPES}"),
        suite.fab("plan", "--profile", ESCAPES),
        suite.fab("plan", "--only", ESCAPES),
        suite.fab("fix", f"vm.x={ESCAPES}"),
        suite.fab(
            "plan",
            "--profile",
            "odd",
            env={"FABRIC_NODEPREP_TEMPLATES": str(profile(suite.folder, "odd", f"vm.{ESCAPES} = 1\n"))},
        ),
    ]
    suite.lines["n"] += f" {ESCAPES}"
    refused.append(suite.fab("plan"))
    refused.append(measured(suite, [*suite.command("plan")[:-1], f"/nowhere/{ESCAPES}"])[0])
    for told in refused:
        assert told.code == 2, told.text
        assert_printable(told)
