"""SystemVerification: kernels, their configuration, and control groups."""

from __future__ import annotations

import pytest

from tasks.core.kubeadm.system import CGROUP_V1_FILE, CGROUP_V2_FILE, OPTIONAL_V1, REQUIRED_V1
from tests.support.builders import host
from tests.support.kubeadm import OPTIONS, findings, run_checks


@pytest.mark.parametrize(
    ("kernel", "accepted"),
    [
        *((release, True) for release in ("5.4.0-150-generic", "5.10.0-28-amd64", "5.15.0", "6.1.0", "6.12.48+deb13")),
        *((release, True) for release in ("7.0.1", "10.2.3-x")),
        *(
            (release, False)
            for release in ("3.10.0-1160.el7", "4.18.0-513.el8", "4.19.0", "5.14.0-427.el9", "6.1", "x")
        ),
    ],
)
def test_the_kernels_that_kubeadm_accepts(kernel: str, accepted: bool) -> None:
    items = run_checks(kernel=kernel)
    assert findings(items) == ({} if accepted else {"SystemVerification": "drift"})
    assert accepted or f"unsupported kernel release {kernel}" in str(items["SystemVerification"].got)


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
    ("kubelet", "status"), [("", "drift"), ("1.35.0", "drift"), ("v1.34.2", "advisory"), ("1.33.1", "advisory")]
)
def test_cgroup_v1_is_refused_since_kubernetes_1_35(kubelet: str, status: str) -> None:
    on = host(kube_version=kubelet)
    item = run_checks({CGROUP_V2_FILE: None, CGROUP_V1_FILE: f"#subsys_name\n{V1}"}, on=on)["SystemVerification"]
    assert (str(item.status), item.got) == (status, "cgroup v1")
    off = V1.replace("memory\t1\t1\t1", "memory\t1\t1\t0")
    assert "missing required cgroups: memory" in str(
        run_checks({CGROUP_V2_FILE: None, CGROUP_V1_FILE: off}, on=on)["SystemVerification"].got
    )
