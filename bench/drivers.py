"""Define the drivers: nodeprep's verbs and its peers as command lines, each in its own best practice.

All do the same work on the same nodes, 50 at a time, with the same key and the same known host keys. parallel-ssh alone
does not check host keys: it cannot.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.environments import PINS, ROOT, program
from lab.fleet.fleet import Fleet

FORKS = 50
_PEERS = PINS.parent / "peers"
# The phases of a run, in their order. A peer does its work twice; only nodeprep has plan and verify.
FIRST, SECOND, PLAN, VERIFY = "first", "second", "plan", "verify"
PHASES = (FIRST, SECOND, PLAN, VERIFY)
NODEPREP, FLOOR, TUNED = "nodeprep", "one-flight", "paramiko-tuned"

Command = Callable[[Fleet], list[str]]


@dataclass(frozen=True, slots=True)
class Driver:
    """Describe one driver.

    label: its name in the report. commands: phase -> command line. stdin: the name of a file in the client's folder,
    empty for none. variables: added to the environment.
    """

    label: str
    commands: Mapping[str, Command]
    stdin: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


def _peer(label: str, command: Command, stdin: str = "", **variables: str) -> Driver:
    return Driver(label, {FIRST: command, SECOND: command}, stdin, variables)


def _fab(verb: str) -> Command:
    words = [program("fabric", "fab"), "-H", "nodes", verb, "--forks", str(FORKS), "--inventory"]
    return lambda fleet: [*words, str(fleet.client / "hosts.ini")]


def _ansible(playbook: str) -> Command:
    ansible = program("ansible", "ansible-playbook")
    return lambda fleet: [ansible, "-i", str(fleet.client / "hosts"), str(_PEERS / playbook)]


def _pyinfra(deploy: str) -> Command:
    words = [program("pyinfra", "pyinfra"), "-y", "--parallel", str(FORKS)]
    return lambda fleet: [*words, str(_PEERS / "pyinfra_inventory.py"), str(_PEERS / deploy)]


def _python(environment: str, name: str) -> Command:
    return lambda fleet: [program(environment, "python"), str(_PEERS / name)]


def _xargs(*options: str) -> Command:
    def command(fleet: Fleet) -> list[str]:
        ssh = f"exec ssh -F {fleet.client}/ssh_config {' '.join(options)} HOST sh -s <{fleet.client}/apply.sh"
        return ["xargs", "-a", str(fleet.client / "hosts"), "-P", str(FORKS), "-IHOST", "sh", "-c", ssh]

    return command


def _ssh(fleet: Fleet) -> list[str]:
    return ["ssh", "-F", str(fleet.client / "ssh_config"), fleet.hosts[0], "sh", "-s"]


def _clush(fleet: Fleet) -> list[str]:
    words = [program("clustershell", "clush"), "-S", "-q", "-f", str(FORKS)]
    return [
        *words,
        "--hostfile",
        str(fleet.client / "hosts"),
        "-O",
        f"ssh_options=-F {fleet.client}/ssh_config",
        "sh -s",
    ]


def _pssh(fleet: Fleet) -> list[str]:
    words = ["parallel-ssh", "-h", str(fleet.client / "hosts"), "-p", str(FORKS), "-t", "0", "-I"]
    return [*words, "-o", str(fleet.client / "pssh.out"), "-x", f"-F {fleet.client}/ssh_config", "sh -s"]


_QUICK_SSH = (
    "-oKexAlgorithms=curve25519-sha256",
    "-oCiphers=aes128-gcm@openssh.com",
    "-oGSSAPIAuthentication=no",
    "-oPreferredAuthentications=publickey",
)

DRIVERS: dict[str, Driver] = {
    NODEPREP: Driver(
        "nodeprep", {FIRST: _fab("apply"), SECOND: _fab("apply"), PLAN: _fab("plan"), VERIFY: _fab("verify")}
    ),
    FLOOR: _peer("one-flight prototype, no threads", _python("fabric", "one_flight.py"), BENCH_FORKS="250"),
    TUNED: _peer("paramiko prototype, tuned, threads", _python("fabric", "paramiko_tuned.py")),
    "ssh": _peer("`ssh host sh -s`", _ssh, "apply.sh"),
    "xargs-ssh-tuned": _peer("OpenSSH under xargs, tuned", _xargs(*_QUICK_SSH)),
    "xargs-ssh": _peer("OpenSSH under xargs", _xargs()),
    "clush": _peer("clush", _clush, "apply.sh"),
    "pssh": _peer("pssh", _pssh, "apply.sh"),
    "parallel-ssh": _peer("parallel-ssh", _python("parallel-ssh", "parallel_ssh.py")),
    "pyinfra": _peer("pyinfra, batched", _pyinfra("pyinfra_batched.py")),
    "fabric-naive": _peer("naive fabric", _python("fabric", "fabric_naive.py")),
    "ansible-script": _peer("Ansible, one script", _ansible("ansible_script.yml")),
    "ansible-batched": _peer("Ansible, batched", _ansible("ansible_batched.yml")),
    "ansible-idiomatic": _peer("Ansible, a module an item", _ansible("ansible_idiomatic.yml")),
}


def environment(fleet: Fleet, driver: Driver) -> dict[str, str]:
    """Return the whole environment of a run: of this machine only PATH. HOME's ~/.ssh has the fleet's ssh_config."""
    client = fleet.client
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(client / "home"),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
        "BENCH_FOLDER": str(client),
        "BENCH_PORT": str(fleet.port),
        "BENCH_FORKS": str(FORKS),
        "ANSIBLE_FORKS": str(FORKS),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_REMOTE_PORT": str(fleet.port),
        "ANSIBLE_REMOTE_USER": "root",
        "ANSIBLE_PRIVATE_KEY_FILE": str(client / "id_ed25519"),
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "ANSIBLE_HOME": str(client / "home/.ansible"),
        "ANSIBLE_SSH_ARGS": f"-F {client}/ssh_config -o ControlMaster=auto -o ControlPersist=60s",
        **driver.variables,
    }


def stdin_of(fleet: Fleet, driver: Driver) -> Path:
    """Return the path of the file that is the stdin of a driver's command."""
    return fleet.client / driver.stdin if driver.stdin else Path(os.devnull)
