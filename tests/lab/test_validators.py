"""SystemVerification compared with kubeadm's own library on real kernels, healthy and broken."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.vm import programs
from lab.vm.lab import Lab
from lab.vm.node import Node
from tests.lab.conftest import PORT_BASE
from tests.lab.suite import LabSuite

pytestmark = pytest.mark.lab
SOURCE = Path(__file__).parent / "validators/main.go"
LIBRARIES = Path("/usr/share/gocode")
RELEASES = ("bullseye", "bookworm", "trixie")
PROGRAM = "/root/validators"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library's validators into one static program, from Debian's packages alone."""
    if not programs.find("go") or not (LIBRARIES / "src/k8s.io/system-validators").is_dir():
        pytest.skip("needs golang-go and golang-k8s-system-validators-dev")
    folder = tmp_path_factory.mktemp("validators")
    alone = {"GO111MODULE": "off", "GOPATH": str(LIBRARIES), "GOFLAGS": "", "CGO_ENABLED": "0"}
    command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(folder / "validators"), str(SOURCE)]
    subprocess.run(command, env={**os.environ, **alone, "GOCACHE": str(folder / "cache")}, check=True)
    return folder / "validators"


@pytest.fixture(scope="module")
def labs(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, LabSuite]]:
    """Boot one fresh node of each release, together, with the program on it."""
    made = {
        release: Lab(tmp_path_factory.mktemp(release), release, count=1, port_base=PORT_BASE + 10 + number)
        for number, release in enumerate(RELEASES)
    }
    with ExitStack() as ends:
        for lab in made.values():
            ends.callback(lab.stop)
            lab.nodes[0].spawn()
        for lab in made.values():
            lab.nodes[0].wait_ready()
            copy(program, lab.nodes[0])
        yield {release: LabSuite(lab, tmp_path_factory.mktemp("inventory")) for release, lab in made.items()}


def copy(program: Path, node: Node) -> None:
    done = node.run(
        f"base64 -d > {PROGRAM} && chmod 755 {PROGRAM}", stdin=base64.b64encode(program.read_bytes()).decode()
    )
    assert done.returncode == 0, done.stderr


def told(suite: LabSuite) -> tuple[list[str], dict[str, str]]:
    """Return the errors of the library on the lab's node, and nodeprep's item."""
    done = suite.lab.nodes[0].run(PROGRAM)
    assert done.returncode == 0, done.stderr
    item: dict[str, str] = suite.fab("verify").items("lab-1")["SystemVerification"]
    return json.loads(done.stdout)["refused"], item


def names(text: str) -> set[str]:
    """Return the options of the kernel's configuration that a text names."""
    return set(re.findall(r"CONFIG_[A-Z0-9_]+", text))


@pytest.mark.parametrize("release", RELEASES)
def test_kubeadms_library_and_verify_accept_a_healthy_node(labs: Mapping[str, LabSuite], release: str) -> None:
    refused, item = told(labs[release])
    assert (refused, item["status"]) == ([], "ok"), item


@pytest.mark.parametrize("release", RELEASES)
def test_both_refuse_a_kernel_without_an_option_and_name_it(labs: Mapping[str, LabSuite], release: str) -> None:
    node = labs[release].lab.nodes[0]
    node.run("cp /boot/config-* /root && sed -i '/^CONFIG_MEMCG=\\|^CONFIG_CGROUP_PIDS=/d' /boot/config-*")
    refused, item = told(labs[release])
    node.run("mv /root/config-* /boot")
    assert (len(refused), item["status"]) == (1, "drift")
    assert names(refused[0]) == names(item["got"]) == {"CONFIG_MEMCG", "CONFIG_CGROUP_PIDS"}


@pytest.mark.parametrize("release", RELEASES)
def test_both_refuse_a_kernel_whose_configuration_is_nowhere(labs: Mapping[str, LabSuite], release: str) -> None:
    node = labs[release].lab.nodes[0]
    node.run("mv /boot/config-* /root")
    refused, item = told(labs[release])
    node.run("mv /root/config-* /boot")
    assert ["kernel config" in text for text in refused] == [True]
    assert (item["status"], item["got"]) == ("drift", "the kernel's configuration is in no file")


def test_both_refuse_a_node_without_the_memory_controller(labs: Mapping[str, LabSuite]) -> None:
    again(labs["bookworm"].lab.nodes[0], "cgroup_disable=memory")
    refused, item = told(labs["bookworm"])
    assert refused == ["missing required cgroups: memory"]
    assert (item["status"], item["got"]) == ("drift", refused[0])


def test_cgroup_v1_is_refused_as_by_todays_library_though_not_by_debians(labs: Mapping[str, LabSuite]) -> None:
    """1.4.0 accepts it; since 1.12 it is an error for kubelet 1.35 (docs/kubeadm-preflight.md)."""
    again(labs["bullseye"].lab.nodes[0], "systemd.unified_cgroup_hierarchy=0")
    refused, item = told(labs["bullseye"])
    assert (refused, item["status"]) == ([], "drift")
    assert item["got"].startswith("cgroup v1")


def again(node: Node, arguments: str) -> None:
    """Reboot a node with further arguments on its kernel's command line."""
    node.arguments = arguments
    node.reboot()
