"""What verify says of the next boot, held against the next boot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from lab.nodes import Lab, Node
from tests.lab.suite import LabSuite, loaded, value, values

pytestmark = pytest.mark.lab

RECIPE = "for m in ip_vs overlay br_netfilter; do modprobe $m; echo modprobe $m; done > /etc/modules-load.d/k8s.conf"
# What is done to each applied node; what verify must call boot-drift: item -> (where, what the boot gives).
CASES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "lab-1": (
        "echo net.ipv4.ip_forward=0 >> /etc/sysctl.conf;"  # read early on Debian 12, ours wins
        "echo net.core.somaxconn=77 > /etc/sysctl.d/zz-late.conf;"
        "mkdir -p /run/sysctl.d; echo net.ipv4.tcp_fin_timeout=99 > /run/sysctl.d/zzz.conf;"  # gone at boot
        "echo 'net.ipv4.conf.*.arp_announce=1' > /etc/sysctl.d/zzz-glob.conf;"  # a name beats a glob
        "echo blacklist ip_vs > /etc/modprobe.d/x.conf; echo blacklist ip_vs_sh >> /etc/modprobe.d/x.conf;"
        "echo install overlay /bin/true >> /etc/modprobe.d/x.conf",
        {
            "net.core.somaxconn": ("/etc/sysctl.d/zz-late.conf:1", "77"),
            "ip_vs_sh": ("/etc/modprobe.d/x.conf:2", "absent"),
            "overlay": ("/etc/modprobe.d/x.conf:3", "absent"),
        },
    ),
    "lab-2": (
        "systemctl mask systemd-modules-load.service",
        {
            name: ("/etc/systemd/system/systemd-modules-load.service", "absent")
            for name in (
                *["overlay", "br_netfilter", "nf_conntrack", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_wlc", "ip_vs_sh"],
                *(f"net.bridge.bridge-nf-call-{table}" for table in ("iptables", "ip6tables")),
                "net.netfilter.nf_conntrack_max",
                "net.netfilter.nf_conntrack_buckets",
            )
        },
    ),
    "lab-3": ("systemctl mask systemd-sysctl.service", {"kernel.core_uses_pid": ("systemd-sysctl.service", "0")}),
}


@pytest.fixture
def suite(lab: Lab, tmp_path: Path) -> LabSuite:
    return LabSuite(lab, tmp_path)


def after_boot(node: Node, names: Iterable[str]) -> dict[str, str]:
    """Each key's value, each module's presence."""
    keys = values(node, [name for name in names if "." in name])
    modules = loaded(node)
    now = {name: "loaded" if name in modules else "absent" for name in names if "." not in name}
    return now | {key: value or "absent" for key, value in keys.items()}


def test_what_verify_predicts_is_what_the_reboot_brings(suite: LabSuite) -> None:
    """exit 3 before the reboot, file and line named; after it each of them is so, and nothing else is wrong."""
    nodes = {node.name: node for node in suite.lab.nodes}
    suite.lab.reset()
    assert suite.fab("apply").code == 0
    for name, (damage, _) in CASES.items():
        assert nodes[name].run(damage).returncode == 0

    verify = suite.fab("verify")
    assert (verify.code, set(verify.statuses.values())) == (3, {"drift"})
    predicted = {name: verify.items(name, wrong=True) for name in nodes}
    assert all(item["status"] == "boot-drift" for items in predicted.values() for item in items.values())
    for name, (_, expected) in CASES.items():
        assert {item: where in predicted[name][item]["why"] for item, (where, _) in expected.items()} == dict.fromkeys(
            expected, True
        )
    assert set(predicted["lab-1"]) == set(CASES["lab-1"][1])
    assert set(predicted["lab-2"]) == set(CASES["lab-2"][1])

    suite.lab.reboot()
    for name, (_, expected) in CASES.items():
        assert after_boot(nodes[name], expected) == {item: after for item, (_, after) in expected.items()}
    now = suite.fab("verify")
    for name in nodes:  # what came true, and not one item more
        assert set(now.items(name, wrong=True)) <= set(predicted[name])


def test_the_pasted_recipe_is_caught_before_the_reboot(suite: LabSuite) -> None:
    """By hand everything is right until the reboot: the file of `modprobe x` lines loads nothing."""
    node = suite.lab.nodes[0]
    node.reset()
    assert node.run(RECIPE).returncode == 0
    verify = suite.fab("verify", "--only", "modules", on="lab-1")
    items = verify.items("lab-1", wrong=True)
    assert verify.code == 3
    assert "/etc/modules-load.d/k8s.conf:1: `modprobe ip_vs`" in items["ip_vs"]["why"]
    assert items["overlay"]["status"] == "boot-drift"
    node.reboot()
    assert not {"ip_vs", "overlay", "br_netfilter"} & loaded(node)


def test_take_over_comments_out_what_would_win_and_the_reboot_agrees(suite: LabSuite) -> None:
    """Without the flag apply says what stays wrong and exits 4; with it exactly those lines go."""
    node = suite.lab.nodes[1]
    node.reset()
    node.run("printf '# mine\\nnet.core.somaxconn = 77\\nvm.swappiness = 10\\n' > /etc/sysctl.d/zz-late.conf")
    node.run("echo blacklist br_netfilter > /etc/modprobe.d/x.conf")

    left = suite.fab("apply", on="lab-2")
    assert (left.code, left.statuses) == (4, {"lab-2": "failed"})
    faded = {name for name, item in left.items("lab-2").items() if item["status"] == "boot-drift"}
    assert faded >= {"net.core.somaxconn", "br_netfilter"}
    assert {item["status"] for item in left.items("lab-2").values()} == {"boot-drift", "changed", "ok"}
    assert "/etc/sysctl.d/zz-late.conf:2" in left.items("lab-2")["net.core.somaxconn"]["why"]

    taken = suite.fab("apply", "--take-over", on="lab-2")
    assert (taken.code, taken.statuses) == (0, {"lab-2": "changed"}), taken.text
    assert node.run("cat /etc/sysctl.d/zz-late.conf /etc/modprobe.d/x.conf").stdout == (
        "# mine\n# taken over by nodeprep: net.core.somaxconn = 77\nvm.swappiness = 10\n"
        "# taken over by nodeprep: blacklist br_netfilter\n"
    )
    node.reboot()
    assert suite.fab("verify", on="lab-2").code == 0
    assert value(node, "net.core.somaxconn") == "32768"
    assert "br_netfilter" in loaded(node)
