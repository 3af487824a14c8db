"""sudo on nodes that hang or lie: one node's sudo decides for no other node, and waiting nodes stay connected."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fabric
import pytest

from lab.fleet.fleet import Fleet
from lab.fleet.image import PASSWORD, NodeSpec
from lab.fleet.tools import wait_until
from tasks.core.host import Host, HostKeys, SshOptions
from tasks.core.profile.profile import Profile
from tasks.core.profile.template import Source
from tasks.core.redact import Secret
from tasks.core.result import Status
from tasks.fleet.engine import Job, run_on_host
from tasks.node import steps, sudo
from tasks.node.context import StepContext
from tasks.ssh.route import Access
from tests.ssh.suite import Completed, Suite
from tests.support.steps import CHANGE

ENV = {"FABRIC_SUDO_PASSWORD": PASSWORD}
HEALTHY = ("n1", "n2", "n3", "n4", "n5")
STRICT_SSHD = NodeSpec(sshd_config=("ClientAliveInterval 1", "ClientAliveCountMax 1"))
# Stand-ins for sudo: the arguments are `-p PROMPT ...`, as for a sudo that is to ask.
HANGS_BEFORE = "#!/bin/sh\ntouch /tmp/under-way\nexec sleep 1000\n"
ASK = '#!/bin/sh\nwhile [ "$1" != -p ]; do shift; done\nprintf %s "$2" >&2\nread -r _\ntouch /tmp/under-way\n'
HANGS_AFTER = f"{ASK}exec sleep 1000\n"
LIES = f"{ASK}echo 'sudo: 1 incorrect password attempt' >&2\nexit 1\n"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(24, nodes=[STRICT_SSHD]) as many:
        yield many


def bad(suite: Suite, name: str, sudo_script: str) -> Path:
    """Add a node with a sudo of its own; return the path of the file that it makes when it is under way."""
    host = suite.fresh(name, user="operator")
    suite.fleet.write(host, "/usr/bin/sudo", sudo_script)
    suite.fleet.path(host, "/usr/bin/sudo").chmod(0o755)
    return suite.fleet.path(host, "/tmp") / "under-way"


def healthy(suite: Suite, name: str) -> Path:
    """Add a node whose shells wait for a file; return the path of that file."""
    host = suite.fresh(name, user="operator")
    suite.fleet.write(host, "/home/operator/.bashrc", "while [ ! -e /tmp/go ]; do sleep 0.05; done\n")
    return suite.fleet.path(host, "/tmp") / "go"


@pytest.mark.parametrize(
    ("sudo_script", "problem"),
    [(HANGS_BEFORE, "no answer within"), (HANGS_AFTER, "no answer within"), (LIES, "incorrect password")],
    ids=["hangs before it asks", "hangs with the password", "says it is wrong"],
)
def test_one_nodes_sudo_fails_no_other_node(sudo_script: str, problem: str, suite: Suite) -> None:
    """The bad node is the first that has the password, or hangs before the others are probed."""
    under_way = bad(suite, "bad", sudo_script)
    gates = [healthy(suite, name) for name in HEALTHY]
    process = suite.start(suite.command("apply", "--format", "json", "--timeout", "8"), **ENV)
    try:
        wait_until(under_way.exists, "the bad node's sudo runs")
        for gate in gates:
            gate.touch()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    done = Completed(process.returncode, out, err)
    assert done.statuses == {"bad": "failed", **dict.fromkeys(HEALTHY, "changed")}, done.text
    assert problem in done.problem("bad")


def test_a_node_that_waits_for_its_turn_is_not_cut_by_its_sshd_nor_by_its_deadline(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sshd ends a connection that leaves two of its requests unanswered, one a second; it waits for six."""
    monkeypatch.setattr(sudo, "FIRST_PATIENCE", 6.0)
    address = fleet.hosts[0]
    ssh = SshOptions((str(fleet.client / "id_ed25519"),), (str(fleet.client / "known_hosts"),), HostKeys.STRICT)
    host = Host("n", address, fleet.port, "operator", ssh=ssh)
    profile = Profile("p", None, Source("p", "vm.max_map_count = 262144\n", template=False))
    context = StepContext({"n": (profile,)}, CHANGE, password=Secret(PASSWORD))
    assert context.password is not None
    context.gates.of(context.password).enter("another", lambda _: None)  # and never leaves
    job = Job(steps.apply_host, context, Access.of(fabric.Config(), None), 3.5)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(run_on_host, job, host).result(30)
    assert (result.status, result.problem) == (Status.CHANGED, "")
    assert result.seconds > 6
