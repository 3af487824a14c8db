"""plan, apply, apply again, reboot, verify: on real kernels, for root, for sudo without and with a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.vm.lab import Lab
from tests.lab.suite import LabSuite, as_it_should_be, loaded, state, value

pytestmark = pytest.mark.lab


@pytest.fixture
def suite(lab: Lab, tmp_path: Path) -> LabSuite:
    return LabSuite(lab, tmp_path)


def test_the_main_job(suite: LabSuite) -> None:
    """From fresh disks to nodes that are right after a reboot, and a second apply that has nothing to do."""
    nodes = suite.lab.nodes
    suite.lab.reset()
    before = {node.name: state(node) for node in nodes}

    plan = suite.fab("plan")
    assert (plan.code, set(plan.statuses.values())) == (0, {"drift"}), plan.text
    assert {node.name: state(node) for node in nodes} == before

    first = suite.fab("apply")
    assert (first.code, set(first.statuses.values())) == (0, {"changed"}), first.text
    for node in nodes:
        as_it_should_be(node)

    second = suite.fab("apply")
    assert (second.code, set(second.statuses.values())) == (0, {"ok"}), second.text
    assert {item["status"] for node in second.data["nodes"] for item in node["items"]} == {"ok"}

    nodes[1].reboot()
    verify = suite.fab("verify")
    assert (verify.code, set(verify.statuses.values())) == (0, {"ok"}), verify.text
    as_it_should_be(nodes[1])


def test_one_key_changed_by_hand_is_named_and_repaired_for_good(suite: LabSuite) -> None:
    node = suite.lab.nodes[1]
    assert suite.fab("apply", on="lab-2").code == 0
    node.run("sysctl -w net.ipv4.ip_forward=0")

    drift = suite.fab("verify", on="lab-2")
    assert drift.code == 3
    assert {name: (item["expected"], item["got"]) for name, item in drift.items("lab-2", wrong=True).items()} == {
        "net.ipv4.ip_forward": ("1", "0"),
    }

    assert suite.fab("fix", "net.ipv4.ip_forward=1", on="lab-2").code == 0
    assert value(node, "net.ipv4.ip_forward") == "1"
    node.reboot()
    assert value(node, "net.ipv4.ip_forward") == "1"
    assert suite.fab("verify", on="lab-2").code == 0


def test_a_repair_outside_the_profile_survives_a_reboot(suite: LabSuite) -> None:
    """A key and a module that no profile names, kept in the repairs' own files."""
    node = suite.lab.nodes[0]
    assert suite.fab("fix", "net.ipv4.tcp_retries2=9", on="lab-1").code == 0
    assert suite.fab("fix", "dummy", on="lab-1").code == 0
    node.reboot()
    assert value(node, "net.ipv4.tcp_retries2") == "9"
    assert "dummy" in loaded(node)


def test_a_value_the_kernel_refuses_fails_with_its_reason_and_is_not_kept(suite: LabSuite) -> None:
    """sysctl's own exit status would not tell on every release."""
    node = suite.lab.nodes[2]
    said = suite.fab("fix", "net.ipv4.ip_local_port_range=9 5", on="lab-3")
    item = said.items("lab-3")["net.ipv4.ip_local_port_range"]
    assert (said.code, item["status"]) == (4, "kept-by-kernel")
    assert "Invalid argument" in item["why"]
    assert "9 5" not in node.run("cat /etc/sysctl.d/*").stdout
