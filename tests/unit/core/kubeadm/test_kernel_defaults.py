"""KubeletKernelDefaults: the keys that kubelet refuses to start with, where it is told to protect them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.kubeadm.kernel_defaults import KERNEL_DEFAULTS, KUBELET_FILES, KUBELET_FOLDER, NAME
from tests.support.builders import host
from tests.support.kubeadm import RUNTIME, run_checks

SCRIPT = Path(__file__).resolve().parents[4] / "tasks" / "node" / "scripts" / "kubeadm.sh"
RIGHT: dict[str, str | None] = {**KERNEL_DEFAULTS}
CONFIG = "/var/lib/kubelet/config.yaml:protectKernelDefaults: true"


@pytest.mark.parametrize("key", KERNEL_DEFAULTS)
def test_each_key_with_another_value_is_drift_and_named(key: str) -> None:
    item = run_checks({**RIGHT, key: "7"}, listeners=(RUNTIME, CONFIG))[NAME]
    assert (str(item.status), item.got) == ("drift", f"{key} is 7")
    assert f"{key} = {KERNEL_DEFAULTS[key]}" in item.next_step
    assert str(run_checks(RIGHT, listeners=(RUNTIME, CONFIG))[NAME].status) == "ok"


@pytest.mark.parametrize(
    ("line", "protects"),
    [
        (CONFIG, True),
        ('/var/lib/kubelet/config.yaml:{"protectKernelDefaults": true,', True),
        ("/etc/kubernetes/kubelet-config.yaml:protectKernelDefaults:  True", True),
        ('/var/lib/kubelet/kubeadm-flags.env:KUBELET_KUBEADM_ARGS="--x=1 --protect-kernel-defaults=true"', True),
        ("/etc/default/kubelet:KUBELET_EXTRA_ARGS=--protect-kernel-defaults", True),
        ("/etc/default/kubelet:KUBELET_EXTRA_ARGS=--protect-kernel-defaults --v=2", True),
        ("/etc/default/kubelet:KUBELET_EXTRA_ARGS=--protect-kernel-defaults=false", False),
        ("/etc/default/kubelet:# KUBELET_EXTRA_ARGS=--protect-kernel-defaults", False),
        ("/var/lib/kubelet/config.yaml:protectKernelDefaults: false", False),
        ("/proc/net/unix:protectKernelDefaults: true", False),  # the name of a socket
        ("/proc/net/unix:x\n/var/lib/kubelet/config.yaml", False),
    ],
)
def test_the_kubelets_files_say_whether_the_keys_are_protected(line: str, protects: bool) -> None:
    assert (NAME in run_checks(listeners=(RUNTIME, line))) is protects


def test_kubesprays_variable_protects_them_before_kubelet_is_there() -> None:
    item = run_checks(on=host(kubelet_protect_kernel_defaults=True))[NAME]
    assert (str(item.status), item.why) == (
        "drift",
        "protected by kubelet_protect_kernel_defaults: kubelet would not start",
    )
    assert NAME not in run_checks(on=host(kubelet_protect_kernel_defaults=False))
    assert NAME not in run_checks()


def test_a_folder_that_only_root_may_look_into_is_said_to_be_unknown() -> None:
    item = run_checks(hidden=[KUBELET_FOLDER], uid=1000)[NAME]
    assert str(item.status) == "skipped"
    assert f"only root may look into {KUBELET_FOLDER}" in item.why
    assert NAME not in run_checks(hidden=[KUBELET_FOLDER], uid=0)
    assert NAME not in run_checks(hidden=[KUBELET_FOLDER, KUBELET_FILES[0]], uid=1000)


def test_the_script_reads_the_kubelets_files() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert [path for path in KUBELET_FILES if path not in text] == []
