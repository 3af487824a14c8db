"""The probe in real shells on this machine, beside what Python reads."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tasks.core.facts import ModuleState
from tasks.node import orders as instructions
from tests.support.shells import Machine, Shell
from tests.support.steps import needs_namespaces

KEYS = [
    "kernel.ostype",
    "kernel.osrelease",
    "kernel.hostname",
    "kernel.pid_max",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.shmmax",
    "kernel.sem",
    "kernel.core_pattern",
    "fs.file-max",
    "vm.max_map_count",
    "vm.overcommit_memory",
    "net.core.somaxconn",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_mem",
    "net.ipv4.conf.lo.arp_announce",
]


def local(key: str) -> str | None:
    """What Python reads of the key."""
    path = Path("/proc/sys") / key.replace(".", "/")
    return " ".join(path.read_text().split()) if path.is_file() else None


def test_the_probe_reads_what_python_reads(shell: Shell) -> None:
    node = shell.first([*instructions.probe([*KEYS, "vm.no_such_key"], ["no_such_module"])], changes=False)
    assert {key: node.key(key) for key in KEYS} == {key: local(key) for key in KEYS}
    assert not node.has_key("vm.no_such_key")
    assert node.module("no_such_module") is ModuleState.MISSING
    assert node.uid == os.getuid()
    seen = node.for_templates()
    assert (seen["kernel"], seen["hostname"]) == (os.uname().release, socket.gethostname())
    assert seen["systemd"] is Path("/run/systemd/system").is_dir()
    assert node.has_module_index is Path(f"/lib/modules/{os.uname().release}").is_dir()


def test_the_probe_lists_the_files_that_python_lists(shell: Shell) -> None:
    node = shell.first(["scan"], changes=False)
    for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib"):
        for kind in ("modules-load.d", "sysctl.d", "modprobe.d"):
            for path in Path(folder, kind).glob("*.conf"):
                found, real = node.files[str(path)], path.lstat()
                assert (found.uid, found.size, found.mode) == (real.st_uid, real.st_size, stat.S_IMODE(real.st_mode))
    os_release = Path("/etc/os-release").read_text().splitlines()
    assert list(node.lines("/etc/os-release")) == [line for line in os_release if line and line[0] != "#"]


def test_the_probe_knows_what_modules_this_kernel_shows(shell: Shell) -> None:
    loaded = Path("/proc/modules")
    names = [line.split()[0] for line in loaded.read_text().splitlines()[:3]] if loaded.exists() else []
    builtin = [path.name for path in Path("/sys/module").iterdir() if not (path / "refcnt").exists()][:3]
    node = shell.first(instructions.probe([], [*names, *builtin]), changes=False)
    assert all(node.module(name) is ModuleState.LOADED for name in names)
    assert all(node.module(name) is ModuleState.BUILTIN for name in builtin)


def test_a_probe_changes_no_file_and_leaves_nothing_behind(shell: Shell, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    shell.first(instructions.probe(["vm.x"], ["overlay"]), changes=False, directory=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_STYLE", "long-iso"),
        ("QUOTING_STYLE", "shell-always"),
        ("BLOCK_SIZE", "human-readable"),
        ("LS_BLOCK_SIZE", "1K"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("GREP_OPTIONS", "--color=always"),
        ("GREP_COLORS", "mt=01;31"),
        ("CDPATH", "/"),
        ("IFS", "/"),
        ("ENV", "/nonexistent"),
        ("b", "x"),
        ("text", "x"),
        ("reply", "u7"),
        ("quiet", "1"),
        ("patterns", "x y"),
    ],
)
def test_what_the_admin_of_a_node_has_exported_does_not_change_the_reply(name: str, value: str, shell: Shell) -> None:
    lines = ["look /proc/sys/kernel/ostype", "want no_such_module no_such_module", "scan"]
    exported: dict[str, Any] = {name: value}
    assert shell.first(lines, changes=False, **exported) == shell.first(lines, changes=False)


def test_options_of_an_older_grep_are_none_of_ours(shell: Shell) -> None:
    """Until 3.5 grep took them from the environment, in each of our calls."""
    shell.stub("grep", 'exec /usr/bin/grep $GREP_OPTIONS "$@"')
    lines = ["look /proc/sys/kernel/ostype", "want no_such_module no_such_module", "scan"]
    found = shell.first(lines, changes=False, GREP_OPTIONS="--color=always")
    assert (found.uid, found.key("kernel.ostype")) == (os.getuid(), "Linux")


def test_bytes_that_are_no_text_come_through_as_marks(dash: Shell, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"a\xffb\r\n")
    with dash.open() as far:
        assert far.begin([f"look {key}", "scan"]).values[str(key)] == "a\ufffdb\r"


@needs_namespaces
def test_a_fifo_among_the_files_of_the_next_boot_is_listed_and_not_read(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "node")
    machine.write("etc/sysctl.d/a.conf", "vm.x = 1\n")
    os.mkfifo(machine.root / "etc/sysctl.d/b.conf")
    (machine.root / "etc/sysctl.d/c.conf").symlink_to("b.conf")
    (machine.root / "etc/sysctl.d/d.conf").symlink_to("/dev/zero")
    with machine.open() as far:
        node = far.begin(["scan"])
        assert far.finish() == (0, b"")
    kinds = {path[-6:]: fact.kind for path, fact in node.files.items() if path.startswith("/etc/sysctl.d/")}
    assert kinds == {"a.conf": "-", "b.conf": "p", "c.conf": "l", "d.conf": "l"}
    assert node.lines("/etc/sysctl.d/a.conf") == ("vm.x = 1",)
