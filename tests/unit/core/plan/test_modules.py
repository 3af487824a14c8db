"""What a wanted module is, as tables: what the node shows in, status, reason and remedy out."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from tasks.core.facts import ModuleState
from tasks.core.plan.modules import missing_module, wanted_module
from tasks.core.result import ItemStatus
from tests.support.builders import facts

CLOUD = "6.1.0-13-cloud-amd64"
STATES: dict[str, tuple[dict[str, Any], ModuleState]] = {
    "loaded": ({"loaded": ["ip_vs"]}, ModuleState.LOADED),
    "built in, by the kernel's list": ({"builtin": ["ip_vs"]}, ModuleState.BUILTIN),
    "built in, by its parameters": ({"in_sys": ["ip_vs"]}, ModuleState.BUILTIN),
    "built in, by the keys that come with it": ({"values": {"net.ipv4.vs.conntrack": "0"}}, ModuleState.BUILTIN),
    "by keys that only root may read": ({"hidden": ["/proc/sys/net/ipv4/vs/conntrack"]}, ModuleState.BUILTIN),
    "loadable, although its keys are there": (
        {"loadable": ["ip_vs"], "values": {"net.ipv4.vs.conntrack": "0"}},
        ModuleState.LOADABLE,
    ),
    "missing": ({"loadable": ["ip_vs_rr"], "loaded": ["ip_vs_sh"]}, ModuleState.MISSING),
}


@pytest.mark.parametrize(("node", "state"), STATES.values(), ids=STATES)
def test_what_a_module_is(node: dict[str, Any], state: ModuleState) -> None:
    known = facts(**node)
    assert {known.module(name) for name in ("ip_vs", "ip-vs")} == {state}


WANTED: dict[str, tuple[dict[str, str], ItemStatus, str, str]] = {
    "nothing in the way": ({}, ItemStatus.DRIFT, "", "modprobe ip_vs"),
    "blocked": (
        {"kernel.modules_disabled": "1"},
        ItemStatus.MISSING,
        "kernel.modules_disabled is 1: nothing more can be loaded until a reboot",
        "reboot the node",
    ),
    "lockdown": (
        {"/sys/kernel/security/lockdown": "none [integrity] confidentiality"},
        ItemStatus.DRIFT,
        "kernel lockdown is integrity: only signed modules load",
        "modprobe ip_vs",
    ),
    "no lockdown": (
        {"/sys/kernel/security/lockdown": "[none] integrity confidentiality"},
        ItemStatus.DRIFT,
        "",
        "modprobe ip_vs",
    ),
    "a container": (
        {"/run/systemd/container": "lxc"},
        ItemStatus.DRIFT,
        "a container (lxc): only its host may be able to load it",
        "modprobe ip_vs",
    ),
}


@pytest.mark.parametrize(("values", "status", "why", "step"), WANTED.values(), ids=WANTED)
def test_a_module_that_is_to_be_loaded(values: dict[str, str], status: ItemStatus, why: str, step: str) -> None:
    item = wanted_module("ip_vs", facts(values, loadable=["ip_vs"]))
    assert (item.status, item.why, item.next_step) == (status, why, step)


GENERIC = "install the distribution's package of extra modules for this kernel, or boot a kernel that has it"
CAUSES: dict[str, tuple[dict[str, Any], str, str]] = {
    "Ubuntu": (
        {"kernel": "6.8.0-1", "files": {"/etc/os-release": 'ID=ubuntu\nID_LIKE="debian"'}},
        "kernel 6.8.0-1 does not have it",
        "apt install linux-modules-extra-6.8.0-1",
    ),
    "Rocky": (
        {"kernel": "5.14.0-1.el9", "files": {"/etc/os-release": 'ID="rocky"\nID_LIKE="rhel centos fedora"'}},
        "kernel 5.14.0-1.el9 does not have it",
        "dnf install kernel-modules-extra-5.14.0-1.el9",
    ),
    "Debian's cloud kernel": (
        {"kernel": CLOUD, "files": {"/etc/os-release": "ID=debian"}},
        f"kernel {CLOUD} does not have it",
        "apt install linux-image-amd64 and boot it: cloud kernels have fewer modules",
    ),
    "Debian's full kernel": (
        {"kernel": "6.1.0-13-amd64", "files": {"/etc/os-release": "ID=debian"}},
        "kernel 6.1.0-13-amd64 does not have it",
        GENERIC,
    ),
    "Alpine's virt kernel": (
        {"kernel": "6.6.9-0-virt", "files": {"/etc/os-release": "ID=alpine"}},
        "kernel 6.6.9-0-virt does not have it",
        "apk add linux-lts and boot it: virt kernels have fewer modules",
    ),
    "SUSE": (
        {"kernel": "6.4.0-default", "files": {"/etc/os-release": 'ID="opensuse-leap"\nID_LIKE="suse opensuse"'}},
        "kernel 6.4.0-default does not have it",
        "zypper install kernel-default, in place of kernel-default-base",
    ),
    "nothing that is known": ({"kernel": "6.6.6"}, "kernel 6.6.6 does not have it", GENERIC),
    "replaced since the boot": (
        {"kernel": "6.1.0-13", "tree": False, "other_trees": ["6.1.0-14", "6.1.0-15"]},
        (
            "there is no /lib/modules/6.1.0-13, but one of 6.1.0-14, 6.1.0-15: "
            "the kernel's package was replaced since the boot"
        ),
        "reboot into the installed kernel",
    ),
    "not booted from its own packages": (
        {"kernel": "6.1.0-13", "tree": False},
        (
            "there is no /lib/modules/6.1.0-13, nor of another kernel: "
            "this one was not booted from the node's own packages"
        ),
        "install the modules of the running kernel, or boot an installed one",
    ),
    "without loadable modules": (
        {"kernel": "6.1.0", "absent": ["/proc/sys/kernel/modules_disabled"]},
        "kernel 6.1.0 was built without loadable modules",
        "boot a kernel that has it",
    ),
}


@pytest.mark.parametrize(("node", "why", "step"), CAUSES.values(), ids=CAUSES)
def test_why_a_module_is_missing_and_what_helps(node: dict[str, Any], why: str, step: str) -> None:
    item = missing_module("ip_vs", facts(**node))
    assert (item.status, item.got, item.why, item.next_step) == (ItemStatus.MISSING, None, why, step)


def test_in_a_container_a_missing_module_is_its_hosts() -> None:
    item = missing_module("ip_vs", facts({"/run/systemd/container": "lxc"}, tree=False, other_trees=["6.1.0-14"]))
    assert (item.status, item.next_step) == (ItemStatus.HOST_MANAGED, "load ip_vs on its host")


@pytest.mark.parametrize("system", ["ID=ubuntu", "ID=rocky\nID_LIKE=rhel", "ID=debian"])
def test_a_kernels_name_in_a_command_is_part_of_one_word_for_a_shell(system: str) -> None:
    kernel = "6.1-cloud-a;reboot|b"
    step = missing_module("ip_vs", facts(kernel=kernel, files={"/etc/os-release": system})).next_step
    assert shlex.split(step.partition(" and boot")[0])[2].endswith("a;reboot|b")


@pytest.mark.parametrize(
    ("release", "step"),
    [
        ({"ID": "ubuntu"}, "apt install linux-modules-extra-'6.1; reboot'"),
        ({"ID": "rocky"}, "dnf install kernel-modules-extra-'6.1; reboot'"),
        ({"ID": "debian"}, "apt install linux-image-'x; reboot' and boot it: cloud kernels have fewer modules"),
    ],
)
def test_a_nodes_kernel_is_quoted_in_a_step_that_is_meant_to_be_pasted(release: dict[str, str], step: str) -> None:
    kernel = "6-cloud-x; reboot" if release["ID"] == "debian" else "6.1; reboot"
    text = "".join(f"{name}={value}\n" for name, value in release.items())
    assert missing_module("a", facts(kernel=kernel, files={"/etc/os-release": text})).next_step == step
