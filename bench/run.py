"""Run one driver on a fresh fleet: each of its commands is measured, and the nodes are checked after it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import drivers
from bench.drivers import DRIVERS, Driver
from bench.environments import ROOT, program
from bench.measure import TIMED_OUT
from bench.results import Row
from bench.work import Work
from lab.fleet.fleet import Fleet, NodeSpec

SECONDS = 600.0  # the limit of one command
_FILES = {
    # The node looks as if systemd had booted it, so nodeprep predicts its next boot, as it does on real nodes.
    "/run/systemd/system/.here": "",
    # Ansible's module gets the release from the kernel, which is this machine's, and reads this file of it.
    f"/lib/modules/{os.uname().release}/modules.builtin": "",
}


def node_spec(*sshd_config: str, files: Mapping[str, str] | None = None) -> NodeSpec:
    """Return a node of the bench. sshd_config: further lines. files: path -> text of further files."""
    return NodeSpec(files={**_FILES, **(files or {})}, sshd_config=sshd_config)


def prepare(fleet: Fleet, work: Work | None) -> Work:
    """Write the files that the drivers read into the client's folder, and return the work.

    work: None asks nodeprep for it. Raises RuntimeError if nodeprep cannot tell.
    """
    client = fleet.client
    (client / "hosts").write_text("".join(f"{host}\n" for host in fleet.hosts))
    (client / "hosts.ini").write_text(_inventory(fleet))
    (client / "home/.ssh").mkdir(parents=True, mode=0o700)
    shutil.copy(client / "ssh_config", client / "home/.ssh/config")
    shutil.copy(client / "known_hosts", client / "home/.ssh/known_hosts")
    work = work or _ask_nodeprep(fleet)
    (client / "apply.sh").write_text(work.script())
    (client / "modules.conf").write_text(work.modules_text)
    (client / "sysctl.conf").write_text(work.sysctl_text)
    (client / "work.json").write_text(work.document())
    return work


def _inventory(fleet: Fleet) -> str:
    variables = {
        "user": "root",
        "port": fleet.port,
        "ssh_private_key_file": fleet.client / "id_ed25519",
        "ssh_common_args": f"-o UserKnownHostsFile={fleet.client}/known_hosts",
    }
    lines = [
        "[nodes]",
        *fleet.hosts,
        "[nodes:vars]",
        *(f"ansible_{key}={str(value)!r}" for key, value in variables.items()),
    ]
    return "\n".join(lines) + "\n"


def _ask_nodeprep(fleet: Fleet) -> Work:
    """Return the work for the first node, as nodeprep's own `render` prints it."""
    words = ["render", "--format", "json", "--inventory", str(fleet.client / "hosts.ini")]
    command = [program("fabric", "fab"), "-H", fleet.hosts[0], *words]
    env = drivers.environment(fleet, DRIVERS[drivers.NODEPREP])
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"fab render ended with {done.returncode}: {done.stderr}")
    return Work.from_show(done.stdout)


def desired_work() -> Work:
    """Return the desired state, which nodeprep tells of a fleet of one."""
    with Fleet(1, nodes=[node_spec()]) as fleet:
        return prepare(fleet, None)


def run_driver(name: str, nodes: int, rtt_ms: float, rep: int, phases: Sequence[str], work: Work) -> Iterator[Row]:
    """Run one driver on a fleet of its own, and yield a row for each phase.

    The nodes are untouched at first, or in the desired state if there is no first apply. Raises FleetError.
    """
    driver = DRIVERS[name]
    node = node_spec() if drivers.FIRST in phases else node_spec(files=work.files())
    with Fleet(nodes, nodes=[node] * nodes, rtt_ms=rtt_ms) as fleet:
        prepare(fleet, work)
        for phase in phases:
            if phase in driver.commands:
                figures = measure_phase(fleet, driver, phase)
                wrong = work.wrong_nodes(fleet)
                yield Row(driver=name, phase=phase, nodes=nodes, rtt_ms=rtt_ms, rep=rep, wrong=wrong, **figures)  # type: ignore[arg-type]


def measure_phase(fleet: Fleet, driver: Driver, phase: str) -> dict[str, float | int | str]:
    """Run one command until the last process on the nodes has ended, and return the measured fields of a Row."""
    cpu, connections, (sent, received) = fleet.cpu(), fleet.connections(), _bytes(fleet)
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "figures", Path(folder) / "log"
        netns = ["--netns", fleet.netns] if fleet.netns else []
        measure = [sys.executable, "-m", "bench.measure", *netns, str(SECONDS), str(out)]
        with drivers.stdin_of(fleet, driver).open("rb") as stdin, log.open("wb") as said:
            command = [*measure, *driver.commands[phase](fleet)]
            env = drivers.environment(fleet, driver)
            subprocess.run(command, cwd=ROOT, stdin=stdin, stdout=said, stderr=said, env=env, check=True)
        figures: dict[str, float | int | str] = json.loads(out.read_text())
        words = log.read_text(errors="replace")
    fleet.settle(60)
    now = _bytes(fleet)
    figures |= {"node_cpu": fleet.cpu() - cpu, "connections": fleet.connections() - connections}
    figures |= {"sent": now[0] - sent, "received": now[1] - received}
    return figures | {"said": _last_lines(words, int(figures["code"]))}


def _last_lines(text: str, code: int) -> str:
    """Return the last lines of a failed command's output, at most 300 characters; nothing for code 0."""
    if code == 0:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(([f"no end within {SECONDS:g} s"] if code == TIMED_OUT else []) + lines[-3:])[-300:]


def _bytes(fleet: Fleet) -> tuple[int, int]:
    """Return the bytes that the clients' end of the wire has sent and received so far; (0, 0) without a wire."""
    if not fleet.netns:
        return 0, 0
    show = ["ip", "-n", fleet.netns, "-s", "-j", "link", "show", "dev", "wire"]
    stats = json.loads(subprocess.run(show, capture_output=True, check=True).stdout)[0]["stats64"]
    return stats["tx"]["bytes"], stats["rx"]["bytes"]
