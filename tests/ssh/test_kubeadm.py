"""verify as the gate before kubeadm join: nodes that are ready, nodes with one thing wrong, and clones."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping

import pytest

from lab.fleet.fleet import Fleet
from lab.fleet.kernel import CONTAINERD, RELEASE
from tests.ssh.suite import Completed, Damage, Suite


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(40) as many:
        yield many


def without(path: str, text: str) -> Damage:
    """Remove a text from a file."""
    return lambda suite, host: suite.fleet.write(host, path, suite.fleet.read(host, path).replace(text, ""))


def having(path: str, text: str) -> Damage:
    """Add a text to a file."""
    return lambda suite, host: suite.fleet.write(host, path, suite.fleet.read(host, path) + text)


def holding(path: str, text: str) -> Damage:
    return lambda suite, host: suite.fleet.write(host, path, text)


def wrong_clock(suite: Suite, host: str) -> None:
    """Replace date by one that is two minutes ahead: fleet nodes share this machine's clock."""
    date = suite.fleet.path(host, "/usr/bin/date")
    shutil.copy(date, date.with_name("real-date"))
    date.unlink()
    suite.fleet.write(host, "/usr/bin/date", '#!/bin/sh\necho $(($(real-date "$@") + 120))\n')
    suite.fleet.path(host, "/usr/bin/date").chmod(0o755)


def taken(port: int) -> Damage:
    return having(
        "/proc/net/tcp", f"   1: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n"
    )


# By name: the damage to a node that is ready, and the findings of verify: check: (status, a part of its got).
DAMAGES: dict[str, tuple[Damage, dict[str, tuple[str, str]]]] = {
    "runtime": (without("/proc/net/unix", CONTAINERD), {"CRI": ("drift", "none")}),
    "swap": (having("/proc/swaps", "/dev/vda2 partition 1 0 -2\n"), {"Swap": ("advisory", "/dev/vda2")}),
    "memory": (
        without("/sys/fs/cgroup/cgroup.controllers", "memory "),
        {"SystemVerification": ("drift", "missing required cgroups: memory")},
    ),
    "option": (
        without(f"/boot/config-{RELEASE}", "CONFIG_CGROUP_BPF=y\n"),
        {"SystemVerification": ("drift", "lacks CONFIG_CGROUP_BPF")},
    ),
    "port": (taken(10250), {"Port-10250": ("drift", "in use")}),
    "health": (taken(10256), {"Port-10256": ("advisory", "in use")}),
    "leftover": (
        holding("/etc/kubernetes/bootstrap-kubelet.conf", "token\n"),
        {"FileAvailable--etc-kubernetes-bootstrap-kubelet.conf": ("drift", "there")},
    ),
    "name": (holding("/proc/sys/kernel/hostname", "bad_name\n"), {"Hostname": ("drift", "bad_name")}),
    "clock": (wrong_clock, {"ClockSkew": ("drift", "s ahead of most others")}),
    "clone-1": (holding("/etc/machine-id", "0" * 32 + "\n"), {"MachineID": ("drift", "shared by clone-[1-2]")}),
    "clone-2": (holding("/etc/machine-id", "0" * 32 + "\n"), {"MachineID": ("drift", "shared by clone-[1-2]")}),
    "twin-1": (holding("/proc/sys/kernel/hostname", "twin\n"), {"Hostname": ("drift", "twin, shared by twin-[1-2]")}),
    "twin-2": (holding("/proc/sys/kernel/hostname", "Twin\n"), {"Hostname": ("drift", "Twin, shared by twin-[1-2]")}),
    "joined": (taken(10250), {}),
    **{f"ready-{number}": (lambda suite, host: None, {}) for number in range(6)},
}


@pytest.fixture(scope="module")
def damaged(fleet: Fleet, unused: Iterator[str], tmp_path_factory: pytest.TempPathFactory) -> Suite:
    suite = Suite(fleet, tmp_path_factory.mktemp("damaged"), unused)
    hosts = suite.damaged({name: damage for name, (damage, _) in DAMAGES.items()})
    holding("/etc/kubernetes/kubelet.conf", "")(suite, hosts["joined"])
    return suite


@pytest.fixture(scope="module")
def verified(damaged: Suite) -> Completed:
    return damaged.json("verify")


def checks(said: Completed, name: str) -> Mapping[str, dict[str, str]]:
    return {key: item for key, item in said.items(name).items() if item["kind"] == "check"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_names_exactly_what_keeps_a_node_from_joining(verified: Completed, damage: str) -> None:
    told = {name: item for name, item in checks(verified, damage).items() if item["status"] in ("drift", "advisory")}
    expected = DAMAGES[damage][1]
    assert {name: item["status"] for name, item in told.items()} == {name: how for name, (how, _) in expected.items()}
    assert all(got in told[name]["got"] for name, (_, got) in expected.items())
    assert all(item["next_step"] for item in told.values())
    required = any(how == "drift" for how, _ in expected.values())
    assert verified.statuses[damage] == ("drift" if required else "ok")


def test_a_node_that_has_joined_is_not_asked_for_free_ports(verified: Completed) -> None:
    item = checks(verified, "joined")["Port-10250"]
    assert (item["status"], item["why"]) == ("skipped", "already joined: /etc/kubernetes/kubelet.conf is there")


def test_advice_changes_no_exit_code_and_is_shown(damaged: Suite) -> None:
    said = damaged.fab("verify", on="swap")
    assert said.code == 0
    assert "advisory: expected off, got /dev/vda2" in said.stdout


@pytest.mark.parametrize("names", ["CRI", "cri,Swap", "all"])
def test_what_is_ignored_is_skipped_and_says_so(damaged: Suite, names: str) -> None:
    said = damaged.json("verify", "--ignore", names, on="runtime,swap")
    item = checks(said, "runtime")["CRI"]
    assert (said.code, item["status"]) == (0, "skipped")
    assert item["why"].startswith("ignored, as requested")


def test_kubesprays_variable_is_honoured(damaged: Suite) -> None:
    line = damaged.lines["runtime"]
    try:
        damaged.lines["runtime"] += " kubeadm_ignore_preflight_errors=CRI,Port-10250"
        assert damaged.json("verify", on="runtime").code == 0
    finally:
        damaged.lines["runtime"] = line
    assert damaged.json("verify", on="runtime").code == 3


@pytest.mark.parametrize("words", [("--ignore", "Swp"), ("--ignore", "CRI,Prot-10250")])
def test_a_check_that_nobody_has_ends_before_any_connection(damaged: Suite, words: tuple[str, ...]) -> None:
    said = damaged.fab("verify", *words, on="runtime")
    assert (said.code, said.stdout) == (2, "")
    assert "--ignore: no check is named" in said.stderr
    assert "did you mean" in said.stderr


def test_a_problem_of_a_check_offers_its_own_step_and_not_apply(damaged: Suite) -> None:
    said = damaged.fab("verify", on="runtime")
    assert said.code == 3
    assert "install and start containerd or CRI-O; if that comes later: --ignore CRI" in said.stdout
    assert "apply" not in said.stdout
    assert "CHECKS" in said.stdout


def test_plan_and_apply_make_no_checks(damaged: Suite) -> None:
    for verb in ("plan", "apply"):
        said = damaged.json(verb, on="ready-0,runtime")
        assert said.code == 0
        assert "check" not in {item["kind"] for node in said.data["nodes"] for item in node["items"]}


def test_jq_reads_what_verify_prints(damaged: Suite) -> None:
    said = damaged.json("verify", on="runtime,ready-1")
    wanted = '[.nodes[] | select(.status != "ok") | {host, refused: [.items[] | select(.status == "drift") | .name]}]'
    done = subprocess.run(["jq", "-c", wanted], input=said.out, capture_output=True, check=True)
    assert json.loads(done.stdout) == [{"host": "runtime", "refused": ["CRI"]}]
