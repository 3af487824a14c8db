"""The table of checks: on a node that is ready, on hostile replies, and on a node with a real shell."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path
from socket import AF_UNIX, socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.fleet.kernel import ready
from tasks.core.kubeadm.checks import CHECKS, Check, check_node, probe_instructions
from tasks.core.kubeadm.identity import read_identity
from tasks.core.kubeadm.inputs import CheckInputs
from tasks.core.kubeadm.leftovers import JOINED, LEFTOVERS
from tasks.core.kubeadm.names import IMPLEMENTED
from tasks.core.kubeadm.role import find_role
from tasks.core.kubeadm.swap import SWAPS
from tasks.core.kubeadm.system import CGROUP_V1_FILE
from tasks.core.plan.desired import resolve
from tasks.core.result import Item, NodeResult
from tasks.node import orders as instructions
from tasks.node import steps as node
from tasks.node.conversation import Conversation
from tests.support.builders import facts, host, profile
from tests.support.kubeadm import READY, findings, in_groups, listening, run_checks
from tests.support.shells import SHELLS, Machine, Shell, no_namespaces
from tests.support.steps import work

FORWARD = "FileContent--proc-sys-net-ipv4-ip_forward"


def test_a_node_that_is_ready_passes_every_check() -> None:
    items = run_checks()
    assert findings(items) == {}
    assert set(items) == {
        *("CRI", "Swap", "SystemVerification", "Hostname", FORWARD, "Port-10250", "Port-10256"),
        *(f"FileAvailable--etc-kubernetes-{name}" for name in ("kubelet.conf", "bootstrap-kubelet.conf", "pki-ca.crt")),
    }


def test_every_check_can_be_ignored_by_the_name_it_has() -> None:
    two = host(ipv6_stack=True, kube_network_plugin="flannel", kubeadm_role="control-plane", kube_proxy_mode="ipvs")
    assert set(run_checks(on=two)) | set(run_checks()) <= set(IMPLEMENTED)


@pytest.mark.parametrize("check", CHECKS, ids=[check.run.__name__ for check in CHECKS])
def test_a_row_names_every_item_that_its_function_yields(check: Check) -> None:
    seen = facts(READY)
    for on in (host(), host(ipv6_stack=True, kube_network_plugin="flannel", kubeadm_role="control-plane")):
        node = CheckInputs(on, find_role(on), seen, resolve([], seen))
        assert {item.name for item in check.run(node)} <= set(check.names)


LINES = st.lists(st.text(), max_size=5)


@given(
    values=st.dictionaries(
        st.sampled_from([*READY, *JOINED, CGROUP_V1_FILE]), st.text(alphabet=st.characters(exclude_characters="\n"))
    ),
    listeners=LINES,
    options=LINES,
    clock=LINES,
)
def test_whatever_a_node_says_is_judged(
    values: dict[str, str], listeners: list[str], options: list[str], clock: list[str]
) -> None:
    seen = facts(values, more={"options": options, "listeners": listeners, "clock": clock})
    items = check_node(
        in_groups("kube_control_plane", kube_proxy_mode="nftables"), seen, resolve([], seen), frozenset()
    )
    assert {item.name for item in items} <= set(IMPLEMENTED)
    assert read_identity(seen, (1.0, 2.0), frozenset()).ignored == frozenset()


real = pytest.mark.skipif(no_namespaces(), reason="no user namespaces here")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A whole small node that is ready."""
    made = Machine(tmp_path / "node", keys={"kernel.hostname": "n1", "net.ipv4.ip_forward": "1"})
    for path, text in {**ready("6.1.0"), "etc/machine-id": "0123456789abcdef0123456789abcdef\n"}.items():
        made.write(path, text)
    return made


def verified(machine: Machine, *, secret: bytes = b"none") -> NodeResult:
    job = work(profile("net.ipv4.ip_forward = 1\n"))
    with machine.open() as channel:
        result = node.verify_host(Conversation(channel), host(), job)
        assert secret not in channel.received
    return result


def told(result: NodeResult) -> dict[str, Item]:
    return {item.name: item for item in result.items if item.kind == "check"}


@real
def test_a_node_that_is_ready_says_so_to_a_real_shell(machine: Machine) -> None:
    result = verified(machine)
    assert findings(told(result)) == {}
    assert len(told(result)) == 10
    assert result.identity is not None
    assert (result.identity.hostname, result.identity.machine_id[:4]) == ("n1", "0123")


@real
def test_what_keeps_a_node_from_joining_is_seen_by_a_real_shell_and_no_token_travels(machine: Machine) -> None:
    machine.write("proc/swaps", "Filename Type\n/dev/vda2 partition 1 0 -2\n")
    machine.write("proc/net/tcp6", f"  sl local\n{listening(10250, '0' * 32)}\n")
    machine.write("proc/net/unix", "Num RefCount\n")
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu pids hugetlb io\n")
    machine.write("etc/kubernetes/bootstrap-kubelet.conf", "token: abcdef.0123456789abcdef\n")
    result = verified(machine, secret=b"abcdef.0123")
    assert findings(told(result)) == {
        "Swap": "advisory",
        "SystemVerification": "drift",
        "CRI": "drift",
        "Port-10250": "drift",
        "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf": "drift",
    }
    assert told(result)["SystemVerification"].got == "missing required cgroups: memory"


@real
@pytest.mark.parametrize("path", ["proc/config.gz", "boot/config-6.1.0", "lib/modules/6.1.0/build/.config"])
def test_the_kernels_configuration_is_read_where_kubeadm_reads_it(machine: Machine, path: str) -> None:
    text = (machine.root / "boot/config-6.1.0").read_bytes().replace(b"CONFIG_MEMCG=y\n", b"")
    (machine.root / "boot/config-6.1.0").unlink()
    machine.write(path, "")
    (machine.root / path).write_bytes(gzip.compress(text) if path.endswith(".gz") else text)
    assert told(verified(machine))["SystemVerification"].got == f"/{path} lacks CONFIG_MEMCG"


@real
def test_a_configuration_that_is_not_a_file_is_not_read(machine: Machine) -> None:
    """Whoever built the kernel owns the folder that `build` links to: reading a FIFO there would never end."""
    (machine.root / "boot/config-6.1.0").unlink()
    machine.write("lib/modules/6.1.0/build/x", "")
    os.mkfifo(machine.root / "lib/modules/6.1.0/build/.config")
    item = told(verified(machine))["SystemVerification"]
    assert (str(item.status), item.got) == ("drift", "/lib/modules/6.1.0/build/.config is not a file")


@pytest.mark.parametrize("name", SHELLS)
def test_every_shell_brings_the_same_back_and_the_time(name: str, tmp_path: Path) -> None:
    shell = Shell.named(name, tmp_path)
    with shell.open() as channel:
        before = int(time.time())
        seen = channel.begin(instructions.probe([], [], probe_instructions()))
        after = time.time()
    assert before <= int(seen.extra_sections["clock"][0]) <= after
    assert seen.texts(SWAPS) == Path(SWAPS).read_text().splitlines()
    assert set(LEFTOVERS) <= {path for path, value in seen.values.items() if value is None}


FORGED_RUNTIME = "0000000000000000: 00000002 00000000 00010000 0001 01 21519 /run/containerd/containerd.sock"
FORGED_NAMES = {
    "a blank before the path": "\0 /run/containerd/containerd.sock",
    "a line of its own": f"\0x\n{FORGED_RUNTIME}",
    "a line that begins the name": f"\0\n{FORGED_RUNTIME}",
    "a port in use": f"\0\n{listening(10250)[:60]}",
}


@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize("forged", FORGED_NAMES)
def test_the_name_of_a_users_socket_changes_no_check(name: str, forged: str, tmp_path: Path) -> None:
    """The kernel prints the names of abstract sockets raw, and any user may choose one."""
    shell = Shell.named(name, tmp_path)
    with shell.open() as channel:
        before = channel.begin(instructions.probe([], [], probe_instructions()))
    with socket(AF_UNIX) as sock, shell.open() as channel:
        sock.bind(FORGED_NAMES[forged].encode()[:108])
        sock.listen()
        after = channel.begin(instructions.probe([], [], probe_instructions()))
    nobody = frozenset[str]()
    checks = [
        {item.name: item for item in check_node(host(), seen, resolve([], seen), nobody)} for seen in (before, after)
    ]
    assert [checks[1][check] for check in ("CRI", "Port-10250")] == [
        checks[0][check] for check in ("CRI", "Port-10250")
    ]
