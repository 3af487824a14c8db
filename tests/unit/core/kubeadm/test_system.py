"""SystemVerification: kernels, their configuration, and control groups."""

from __future__ import annotations

import pytest

from tasks.core.kubeadm.system import CGROUP_V1_FILE, CGROUP_V2_FILE, FREEZER_FILE, OPTIONAL_V1, REQUIRED_V1
from tests.support.builders import host
from tests.support.kubeadm import OPTIONS, findings, run_checks


@pytest.mark.parametrize(
    ("kubernetes", "kernel", "status"),
    [
        *(
            (version, release, "ok")
            for version in ("", "1.34.0")
            for release in ("5.4.0-150-generic", "5.15.0", "6.1.0")
        ),
        *(
            (version, release, "ok")
            for version in ("", "1.31.0")
            for release in ("5.10.0-28-amd64", "7.0.1", "10.2.3-x")
        ),
        *(
            (version, "5.14.0-427.el9", "advisory") for version in ("", "1.34.0", "v1.34.2", "1.35.0", "1.40.1")
        ),  # RHEL 9
        *((version, "5.14.0-427.el9", "ok") for version in ("1.20.0", "1.31.9", "1.32.0", "1.33", "v1.33.6")),
        *((version, "5.14.21-150500.55-default", "ok") for version in ("1.33.0",)),  # SLES 15 SP5
        *((version, "4.18.0-513.el8", "advisory") for version in ("", "1.34")),  # RHEL 8
        *((version, "4.18.0-513.el8", "drift") for version in ("1.32.1", "1.33")),
        *((version, "4.18.0-513.el8", "ok") for version in ("1.31.4", "1.26")),
        *((version, "4.19.0", "ok") for version in ("1.31", "1.32", "1.33")),
        *(
            (version, "3.10.0-1160.el7", status)
            for version, status in (("1.31", "ok"), ("1.33", "drift"), ("", "advisory"))
        ),
        *((version, "3.2.0", "drift") for version in ("1.31", "1.33")),
        *((version, release, "advisory") for version in ("",) for release in ("6.1", "x")),
    ],
)
def test_the_kernels_that_each_kubeadm_accepts(kubernetes: str, kernel: str, status: str) -> None:
    """Held against the patterns of system-validators 1.8.0, 1.9.1, 1.10.1 and 1.12.1."""
    items = run_checks(kernel=kernel, on=host(kube_version=kubernetes), hidden=[FREEZER_FILE])
    item = items["SystemVerification"]
    assert str(item.status) == status
    assert (f"unsupported kernel release {kernel}" in str(item.got)) is (status != "ok")
    assert ("boot a kernel" in item.next_step) is (status == "drift")


@pytest.mark.parametrize(
    ("kubernetes", "kernel", "shown", "missing"),
    [
        ("1.33", "4.19.0", False, True),
        ("1.33", "5.1.9", False, True),
        ("1.33", "5.2.0", False, False),
        ("", "4.18.0-513.el8", True, False),
        ("", "4.18.0-513.el8", False, True),
        ("1.31", "4.19.0", False, False),
    ],
)
def test_cgroup_v2_without_a_freezer_is_refused_since_1_32(
    kubernetes: str, kernel: str, shown: bool, missing: bool
) -> None:
    on = host(kube_version=kubernetes)
    item = run_checks(kernel=kernel, on=on, hidden=[FREEZER_FILE] if shown else [])["SystemVerification"]
    assert ("missing required cgroups: freezer" in str(item.got)) is missing


@pytest.mark.parametrize(
    ("kubernetes", "lost", "status"),
    [
        *((version, "CGROUP_CPUACCT", "drift") for version in ("1.31", "1.32.9", "1.33.5", "1.34.1")),
        *((version, "CGROUP_CPUACCT", "ok") for version in ("1.32.10", "1.33", "1.34.2", "1.35", "")),
        *((version, "CGROUP_BPF", "drift") for version in ("1.32.9", "1.33.0", "1.34.0", "1.35", "")),
        *((version, "CGROUP_BPF", "ok") for version in ("1.31", "1.32.10", "1.33.6", "1.34")),
        *((version, "MEMCG", "drift") for version in ("1.31", "1.33", "1.34", "")),
    ],
)
def test_the_options_that_each_kubeadm_requires_with_cgroup_v2(kubernetes: str, lost: str, status: str) -> None:
    options = ("r/boot/config-x", *(line for line in OPTIONS if not line.startswith(f"CONFIG_{lost}=")))
    assert str(run_checks(options=options, on=host(kube_version=kubernetes))["SystemVerification"].status) == status


@pytest.mark.parametrize("lost", ["NETFILTER_XT_MATCH_COMMENT", "CGROUP_BPF", "MEMCG"])
def test_an_option_that_the_kernel_was_built_without_is_named(lost: str) -> None:
    item = run_checks(options=("r/boot/config-x", *(line for line in OPTIONS if lost not in line)))[
        "SystemVerification"
    ]
    assert (str(item.status), item.got) == ("drift", f"/boot/config-x lacks CONFIG_{lost}")


def test_an_option_by_its_other_name_and_options_of_cgroup_v1_are_not_missed() -> None:
    gone = ("NETFILTER_XT_TARGET_REDIRECT", "CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER")
    rest = [line for line in OPTIONS if not any(name in line for name in gone)]
    assert findings(run_checks(options=("r/boot/config-x", *rest, "CONFIG_IP_NF_TARGET_REDIRECT=m"))) == {}
    assert findings(run_checks(options=("r/boot/config-x", *rest))) == {"SystemVerification": "drift"}


def test_a_configuration_that_nobody_finds_is_refused_as_kubeadm_does_and_one_that_is_hidden_is_not() -> None:
    item = run_checks(options=())["SystemVerification"]
    assert (str(item.status), item.got) == ("drift", "the kernel's configuration is in no file")
    assert "/boot/config-6.1.0-13-amd64" in item.next_step
    assert findings(run_checks(options=(), loadable=["configs"])) == {"SystemVerification": "advisory"}
    assert findings(run_checks(options=("x/boot/config-x",))) == {"SystemVerification": "advisory"}
    folder = run_checks(options=("n/boot/config-x",))["SystemVerification"]
    assert (str(folder.status), folder.got) == ("drift", "/boot/config-x is not a file")


@pytest.mark.parametrize(
    ("controllers", "status", "got"),
    [
        ("cpuset cpu io hugetlb pids", "drift", "missing required cgroups: memory"),
        ("cpuset cpu memory pids", "advisory", "missing optional cgroups: hugetlb io"),
        ("", "drift", "missing required cgroups: cpu cpuset memory pids"),
    ],
)
def test_control_groups_that_are_switched_off_are_named(controllers: str, status: str, got: str) -> None:
    item = run_checks({CGROUP_V2_FILE: controllers or "x"})["SystemVerification"]
    assert (str(item.status), item.got) == (status, got)


V1 = "\n".join(f"{name}\t1\t1\t1" for name in (*REQUIRED_V1, *OPTIONAL_V1))


@pytest.mark.parametrize(
    ("kubernetes", "status"),
    [("", "drift"), ("1.35.0", "drift"), ("v1.34.2", "advisory"), ("1.33.1", "advisory"), ("1.31.1", "ok")],
)
def test_cgroup_v1_is_refused_since_kubernetes_1_35(kubernetes: str, status: str) -> None:
    on = host(kube_version=kubernetes)
    item = run_checks({CGROUP_V2_FILE: None, CGROUP_V1_FILE: f"#subsys_name\n{V1}"}, on=on)["SystemVerification"]
    assert (str(item.status), str(item.got).startswith("cgroup v1")) == (status, status != "ok")
    off = V1.replace("memory\t1\t1\t1", "memory\t1\t1\t0")
    assert "missing required cgroups: memory" in str(
        run_checks({CGROUP_V2_FILE: None, CGROUP_V1_FILE: off}, on=on)["SystemVerification"].got
    )


@pytest.mark.parametrize(
    ("init", "step"),
    [
        (["/run/systemd/system"], "systemd.unified_cgroup_hierarchy=1"),
        (["/run/openrc"], 'rc_cgroup_mode="unified" in /etc/rc.conf'),
        ([], "mount cgroup2 alone at /sys/fs/cgroup"),
    ],
)
def test_the_way_to_cgroup_v2_is_that_of_the_nodes_init(init: list[str], step: str) -> None:
    item = run_checks({CGROUP_V2_FILE: None, CGROUP_V1_FILE: f"#subsys_name\n{V1}"}, hidden=init)["SystemVerification"]
    assert step in item.next_step
    assert ("systemd" in item.next_step) is (init == ["/run/systemd/system"])
