"""Dozens of generated configurations a release: what is predicted, what systemd says it reads, what the boot brings."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab.vm.lab import Lab
from lab.vm.node import Node
from tasks.core.boot.files import COMMAND_LINE, SYSCTL, files_in_order
from tasks.core.boot.simulation import NextBoot
from tasks.core.facts import Facts, ModuleState
from tasks.core.kernel import same_value
from tasks.core.protocol.reply import parse_reply
from tasks.node import orders as instructions
from tasks.node import script
from tests.lab.conftest import PORT_BASE
from tests.lab.generate import (
    CONNTRACK,
    KEYS,
    MODULES,
    TOGETHER,
    Configuration,
    key_configuration,
    module_configuration,
)
from tests.lab.suite import loaded

pytestmark = pytest.mark.lab
SEED = int(os.environ.get("NODEPREP_SEED", "20"))
LEAST = 40  # configurations, each on a key or a module of its own
COUPLED = [key for one, other, _ in TOGETHER for key in (one, other)]


FULL = [pytest.param(release, marks=pytest.mark.full) for release in ("bullseye", "openrc")]


@pytest.fixture(params=["bookworm", "trixie", *FULL])
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="nodeprep-boots-"))
    try:
        with Lab(folder, release=request.param, count=1, port_base=PORT_BASE + 20) as lab:
            yield lab.nodes[0]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_generated_configurations_boot_as_predicted(node: Node) -> None:
    chance = random.Random(f"{SEED} {node.record.release}")
    keys, modules = keys_that_take(node), modules_that_load(node)
    assert node.run(f"modprobe {CONNTRACK}").returncode == 0
    before = read(node, COUPLED)
    made = together(key_configuration(chance, keys), module_configuration(chance, modules))
    put(node, made)

    facts = asked(node, [*keys, *COUPLED], modules, made.arguments)
    boot = NextBoot(facts, facts.files)
    expected = {key: said_of(boot, key, str(now)) for key, now in {**before, **keys}.items()}
    there = {name for name in modules if boot.module_obstacle(name) is None}
    node.arguments = " ".join(made.arguments)
    node.reboot()

    if "/run/systemd/system" in facts.present:
        assert files_that_systemd_reads(node) == [file.path for file in files_in_order(facts.files, SYSCTL)]
    got, now = read(node, expected), loaded(node)
    wrong: dict[str, tuple[object, object]] = {
        key: (said, got.get(key, "")) for key, said in expected.items() if not same_value(key, said, got.get(key, ""))
    }
    wrong |= {name: (name in there, name in now) for name in modules if (name in there) != (name in now)}
    lines = "\n".join(made.about(name) for name in wrong)
    assert not wrong, f"NODEPREP_SEED={SEED}, {node.record.release}: predicted, got {wrong}\n{lines}"
    changed = [key for key in expected if expected[key] != str({**before, **keys}[key])]
    assert len(changed) + len(modules) >= LEAST
    assert len(changed) >= len(expected) // 2
    assert 5 < len(there) < len(modules) - 5


def keys_that_take(node: Node) -> dict[str, int]:
    """The keys that this kernel has and that hold what is written to them, with their values."""
    now = {key: int(value) for key, value in read(node, KEYS).items() if re.fullmatch("[0-9]{1,9}", value)}
    taking = set(now)
    for more in (1, 5, 9):
        write(node, {key: value + more for key, value in now.items()})
        got = read(node, now)
        taking = {key for key in taking if got.get(key) == str(now[key] + more)}
    write(node, now)
    return {key: value for key, value in now.items() if key in taking}


def read(node: Node, keys: Iterable[str]) -> dict[str, str]:
    """The values of those keys that are there, with one process on the node: they are slow ones."""
    paths = " ".join(key.replace(".", "/") for key in keys)
    lines = node.run(f"cd /proc/sys && grep -sH '' {paths}").stdout.splitlines()
    return {path.replace("/", "."): value for path, _, value in (line.partition(":") for line in lines)}


def write(node: Node, values: Mapping[str, int]) -> None:
    lines = [f"echo {value} >{key.replace('.', '/')}" for key, value in values.items()]
    node.run("cd /proc/sys && sh 2>/dev/null", stdin="\n".join(lines))


def modules_that_load(node: Node) -> list[str]:
    """The modules that this kernel has and has not loaded."""
    facts = asked(node, [], MODULES)
    return [name for name in MODULES if facts.module(name) is ModuleState.LOADABLE]


def asked(node: Node, keys: Iterable[str], modules: Iterable[str], arguments: Iterable[str] = ()) -> Facts:
    """What the probe finds; with the command line as it is going to be."""
    mark = script.new_mark()
    data = script.request(mark, instructions.probe(keys, modules))
    command = [*node.ssh_command("root"), script.command(mark, len(data))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as far:  # its stdin's end would end it
        assert far.stdin is not None
        assert far.stdout is not None
        far.stdin.write(data)
        far.stdin.flush()
        said = b""
        while f"{mark} end\n".encode() not in said:
            piece = os.read(far.stdout.fileno(), 65536)
            assert piece, said
            said += piece
        far.stdin.close()
    reply = said.decode().partition(f"{mark} begin\n")[2].partition(f"{mark} end\n")[0]
    facts = parse_reply(reply.replace(mark, "=="))
    line = " ".join([facts.values[COMMAND_LINE] or "", *arguments])
    return replace(facts, values={**facts.values, COMMAND_LINE: line})


def together(keys: Configuration, modules: Configuration) -> Configuration:
    return Configuration(keys.files | modules.files, keys.links | modules.links, [*keys.arguments, *modules.arguments])


def put(node: Node, made: Configuration) -> None:
    command = [*node.ssh_command("root"), "tar -C / -xf - && sync"]
    subprocess.run(command, input=made.archive(), check=True, capture_output=True, timeout=60)


def said_of(boot: NextBoot, key: str, now: str) -> str:
    """What a key is going to be; as it is now, where nothing sets it."""
    found = boot.key(key)
    return now if found is None or found.value is None else found.value


def files_that_systemd_reads(node: Node) -> list[str]:
    """`systemd-sysctl --cat-config` prints each file's path as a comment, and then the file."""
    done = node.run("/lib/systemd/systemd-sysctl --cat-config")
    assert done.returncode == 0, done.stderr
    return re.findall(r"^# (/\S+\.conf)$", done.stdout, re.MULTILINE)
