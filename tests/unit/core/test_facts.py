"""What facts say of a node."""

from __future__ import annotations

import pytest

from tasks.core.facts import ModuleState, key_file
from tasks.core.profile.variables import SAMPLE
from tasks.core.protocol.reply import parse_reply
from tests.support.builders import KERNEL, OnNode, facts
from tests.support.replies import AS_ROOT, DEBIAN


@pytest.mark.parametrize(
    ("key", "there"),
    [
        ("net.ipv4.ip_forward", True),
        ("net.ipv4.ip_local_reserved_ports", True),
        ("net.core.bpf_jit_harden", True),
        ("net.bridge.bridge-nf-call-iptables", False),
        ("vm.never_asked", False),
    ],
)
def test_a_key_that_is_empty_or_hidden_is_there_all_the_same(key: str, there: bool) -> None:
    node = parse_reply(DEBIAN)
    assert node.has_key(key) is node.exists(key_file(key)) is there


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("overlay", ModuleState.LOADED),
        ("nf_conntrack", ModuleState.BUILTIN),
        ("configfs", ModuleState.BUILTIN),
        ("br_netfilter", ModuleState.LOADABLE),
        ("br-netfilter", ModuleState.LOADABLE),
        ("vfio_pci", ModuleState.LOADABLE),
        ("nf_conntrack_ipv4", ModuleState.MISSING),
        ("over", ModuleState.MISSING),
    ],
)
def test_a_module_is_what_the_kernel_shows_of_it(name: str, state: ModuleState) -> None:
    assert parse_reply(DEBIAN).module(name) is state


@pytest.mark.parametrize(
    ("mode", "shut"),
    [
        ("-rw-r--r--", False),
        ("-rw-------", True),
        ("drwxr-xr-x", False),
        ("drwxr--r--", True),
        ("drwx--x--x", True),
        ("drwx------", True),
        ("lrwx------", False),
    ],
)
def test_a_folder_that_may_be_listed_and_not_entered_is_unreadable_too(mode: str, shut: bool) -> None:
    files = {"/etc/sysctl.d": OnNode(mode=mode)}
    assert facts(files=files, uid=1000).unreadable == (("/etc/sysctl.d",) if shut else ())
    assert facts(files=files).unreadable == ()


def test_what_templates_see_is_read_from_the_reply() -> None:
    assert parse_reply(DEBIAN).for_templates() == {
        "kernel": KERNEL,
        "hostname": "node-7",
        "cpus": 5,
        "memory_mb": 1983,
        "distribution": "debian",
        "distribution_version": "12",
        "ipv6": True,
        "systemd": True,
        "container": "",
    }


def test_templates_are_tried_with_the_same_names_that_nodes_give() -> None:
    for seen in (parse_reply(DEBIAN), parse_reply(AS_ROOT)):
        shown = seen.for_templates()
        assert {name: type(value) for name, value in shown.items()} == {name: type(v) for name, v in SAMPLE.items()}


@pytest.mark.parametrize(
    ("online", "cpus"), [("0", 1), ("0-3", 4), ("0-3,5", 5), ("0,2,4-7", 6), ("", 1), ("rubbish", 1), ("0-", 1)]
)
def test_cpus_are_counted_from_their_ranges(online: str, cpus: int) -> None:
    assert facts({"/sys/devices/system/cpu/online": online}).for_templates()["cpus"] == cpus


def test_a_container_says_so() -> None:
    assert facts({"/run/systemd/container": "lxc"}).container == "lxc"
