"""Mistakes that are found before any connection: one line each, with exit code 2."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.cli import load
from tasks.core.errors import ProfileError
from tasks.core.host import Host
from tasks.core.profile.profile import Profile
from tasks.core.profile.template import Source
from tasks.node.context import StepContext
from tasks.node.stamp import new_change_id
from tests.support.project import fab, untouched

SYSCTL, MODULES = "templates/kubernetes/sysctl.conf.j2", "templates/kubernetes/modules-load.conf.j2"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def use_an_expression(root: Path) -> None:
    replace(root / SYSCTL, "kernel.msgmax = 65536", "kernel.msgmax = {{ msgmax }}")
    replace(root / "hosts.ini", "[nodes]\n", "[all:vars]\nmsgmax={{ other }}\n[nodes]\n")


PLAN = ("-H", "nodes", "plan")
Damage = Callable[[Path], object]
USAGE: dict[str, tuple[tuple[str, ...], Damage, str]] = {
    "an unknown group": (("-H", "noodes", "plan"), lambda _: None, 'no host or group "noodes".*mean "nodes"'),
    "no hosts": (("plan",), lambda _: None, "no hosts were chosen: name them with -H"),
    "a bad --only": ((*PLAN, "--only", "keys"), lambda _: None, "--only: expected one of modules, sysctl, got 'keys'"),
    "a bad --format": ((*PLAN, "--format", "xml"), lambda _: None, "--format: expected one of text, json, junit"),
    "--forks that are no number": ((*PLAN, "--forks", "many"), lambda _: None, "--forks: expected a whole number"),
    "an undefined variable": (
        PLAN,
        lambda root: replace(root / SYSCTL, "net.ipv4.ip_forward = 1", "net.ipv4.ip_forward = {{ nope }}"),
        f"{SYSCTL}:LINE: undefined: 'nope'",
    ),
    "a template that takes all memory": (
        PLAN,
        lambda root: replace(root / SYSCTL, "kernel.msgmax = 65536", "kernel.msgmax = {{ 'x' * 10 ** 11 }}"),
        f"{SYSCTL}: expected a template that renders within 10 s and 256 MiB",
    ),
    "a proxy mode that does not exist": (
        PLAN,
        lambda root: replace(root / "hosts.ini", "[nodes]\n", "[all:vars]\nx=1\nkube_proxy_mode=no\n[nodes]\n"),
        "hosts.ini:3: host n1: kube_proxy_mode: expected one of ipvs",
    ),
    "a variable that names no profile": (
        PLAN,
        lambda root: replace(root / "hosts.ini", "[nodes]\n", "[all:vars]\nprofiles=../x\n[nodes]\n"),
        "hosts.ini:2: host n1: profiles: '../x' is not a profile's name",
    ),
    "a variable that is an expression": (
        PLAN,
        use_an_expression,
        "hosts.ini:[0-9]+: host [^:]+: msgmax: holds a Jinja expression",
    ),
    "a pasted modprobe": (
        PLAN,
        lambda root: replace(root / MODULES, "\nip_vs\n", "\nmodprobe ip_vs\n"),
        f"{MODULES}:LINE: expected a bare module name.*got 'modprobe ip_vs'; write 'ip_vs'",
    ),
    "a key without a value": (
        PLAN,
        lambda root: replace(root / SYSCTL, "kernel.msgmax = 65536", "kernel.msgmax"),
        f"{SYSCTL}:LINE: expected `key = value`.*got 'kernel.msgmax'",
    ),
    "a profile that is missing": (
        (*PLAN, "--profile", "kubernets"),
        lambda _: None,
        "templates/kubernets: not a profile: .*profiles: kubernetes",
    ),
    "a file that is there twice": (
        PLAN,
        lambda root: (root / SYSCTL.removesuffix(".j2")).write_text(""),
        "templates/kubernetes: expected one of sysctl.conf and sysctl.conf.j2, got both: keep one",
    ),
    "no fabric.yaml": (PLAN, lambda root: (root / "fabric.yaml").unlink(), "fabric.yaml was not read"),
    "a broken inventory": (
        PLAN,
        lambda root: (root / "hosts.ini").write_text("[nodes]\nn1\n[nodes:chilren]\n"),
        "hosts.ini:3: ",
    ),
    "a bad --serial": ((*PLAN, "--serial", "1,many"), lambda _: None, "--serial: expected numbers above 0.*got 'many'"),
    "a bad --max-fail": ((*PLAN, "--max-fail", "few"), lambda _: None, "--max-fail: expected a number.*got 'few'"),
    "a report that has no place": (
        (*PLAN, "--report", "no/such/run.json"),
        lambda _: None,
        r"--report no/such/run.json: cannot be written: No such file or directory \(.*/no/such\)",
    ),
    **{
        f"{flag} where no run is: {words[0]}": (
            ("-H", "nodes", *words, flag, value),
            lambda _: None,
            f"{flag}{more} is not for render, hosts and rollback --list: they print no run$",
        )
        for words in (("render",), ("hosts",), ("rollback", "--list"))
        for flag, value, more in (("--report", "x", ""), ("--format", "junit", " junit"))
    },
    "a retry of nothing": (
        ("plan", "--retry", "run.json"),
        lambda _: None,
        "run.json: cannot be read: No such file or directory",
    ),
    "a retry of another file": (
        ("plan", "--retry", "fabric.yaml"),
        lambda _: None,
        "fabric.yaml:1: expected the report of an earlier run .*got no JSON",
    ),
    "a run that has no run's name": (
        ("-H", "nodes", "rollback", "--to-run", "latest"),
        lambda _: None,
        r"--to-run: expected a run, such as \d{8}-\d{6}-\w{4} \(rollback --list names them\), got 'latest'",
    ),
    "a repair of two nodes": (("-H", "nodes", "fix", "vm.x=1"), lambda _: None, "-H selects 2"),
}
MARKED = {
    "an undefined variable": (SYSCTL, "{{ nope }}"),
    "a pasted modprobe": (MODULES, "modprobe ip_vs"),
    "a key without a value": (SYSCTL, "kernel.msgmax"),
}


@pytest.mark.parametrize("mistake", USAGE)
def test_a_mistake_is_one_line_with_exit_code_2_and_nobody_is_connected_to(
    mistake: str, project: Path, listener: socket.socket
) -> None:
    words, damage, expected = USAGE[mistake]
    damage(project)
    if mistake in MARKED:
        path, text = MARKED[mistake]
        expected = expected.replace("LINE", str(line_of(project / path, text)))
    done = fab(project, *words)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert len(said.strip().splitlines()) == 1
    verb = next(word for word in words if word in ("plan", "fix", "render", "hosts", "rollback"))
    assert re.match(f"{verb}: .*{expected}", said), said
    assert "Traceback" not in said
    assert untouched(listener)


def test_a_sudo_password_of_two_lines_is_a_mistake_that_does_not_show_it(
    project: Path, listener: socket.socket
) -> None:
    done = fab(project, *PLAN, FABRIC_SUDO_PASSWORD="hunter2\nhunter3")
    assert (done.returncode, done.stdout) == (2, "")
    said = "plan: the sudo password: expected one line, got a line break in it; correct FABRIC_SUDO_PASSWORD"
    assert done.stderr.startswith(said), done.stderr
    assert "hunter" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert untouched(listener)


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        (("show", "--format", "json"), "show", "render"),
        (("apply", "--take-over"), "--take-over", "--comment-out-conflicts"),
        (("rollback", "--to", "20200101-000000-0000"), "--to", "--to-run"),
        (("rollback", "--to=20200101-000000-0000"), "--to", "--to-run"),
    ],
)
def test_an_old_word_still_works_and_says_its_new_one_once(
    words: tuple[str, ...], old: str, new: str, lonely: Path
) -> None:
    done = fab(lonely, "-H", "n1", *words)
    assert done.returncode == 4, done.stderr  # the node is not there
    assert done.stderr.splitlines()[0] == f"{old} is now {new}: the old word goes away with the next release"
    assert done.stderr.count("old word") == 1
    assert old not in done.stdout.replace(new, "").split()


BOMBS = [
    "{{ lipsum(n=100000000) }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 9 ** (9 ** 9) }}",
    "{{ 1.5 | round(999999999, 'ceil') }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% set ns = namespace(x='x') %}{% for a in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
]


@pytest.mark.parametrize("text", BOMBS)
def test_a_template_that_would_not_end_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "RENDER_SECONDS", 1)
    bomb = Profile("mine", None, Source("templates/mine/sysctl.conf.j2", text))
    context = StepContext({"n1": (bomb,)}, change=new_change_id("plan", datetime.now(UTC)))
    with pytest.raises(ProfileError, match=r"^templates/mine/sysctl\.conf\.j2: expected a template that renders"):
        load.try_templates([Host("n1", "n1")], context)


def test_a_template_is_tried_with_the_variables_of_each_host_and_its_own_mistakes_are_left_to_the_rest() -> None:
    looping = Profile("mine", None, Source("t", "{% for a in names %}# {{ a }}\n{% endfor %}vm.x = {{ nope }}\n"))
    context = StepContext(dict.fromkeys(("n1", "n2"), (looping,)), change=new_change_id("plan", datetime.now(UTC)))
    hosts = [Host(name, name, variables={"names": [name]}) for name in ("n1", "n2")]
    load.try_templates(hosts, context)
