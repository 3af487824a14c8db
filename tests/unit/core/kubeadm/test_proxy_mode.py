"""KubeProxyMode: the chosen mode, and the kernel it needs."""

from __future__ import annotations

import pytest

from tests.support.builders import host
from tests.support.kubeadm import findings, run_checks


@pytest.mark.parametrize(
    ("mode", "kernel", "status"),
    [
        ("nftables", "5.10.0", "drift"),
        ("nftables", "5.15.0", "ok"),
        ("ipvs", "6.1.0", "advisory"),
        ("iptables", "5.4.0", "ok"),
    ],
)
def test_the_chosen_kube_proxy_mode_has_the_kernel_it_needs(mode: str, kernel: str, status: str) -> None:
    for name in ("kube_proxy_mode", "PROXY_MODE"):
        item = run_checks(on=host(**{name: mode}), kernel=kernel, loadable=["nf_tables"])["KubeProxyMode"]
        assert str(item.status) == status


def test_nftables_mode_wants_nf_tables_of_a_kernel_that_tells_its_modules() -> None:
    on = host(kube_proxy_mode="nftables")
    assert run_checks(on=on)["KubeProxyMode"].got == "kernel 6.1.0-13-amd64, without nf_tables"
    assert findings(run_checks(on=on, builtin=["nf_tables"])) == findings(run_checks(on=on, tree=False)) == {}


def test_a_mode_that_nobody_chose_is_not_judged() -> None:
    assert "KubeProxyMode" not in run_checks()


@pytest.mark.parametrize(("version", "status"), [("1.34.3", "ok"), ("1.35.0", "advisory"), ("", "advisory")])
def test_ipvs_is_deprecated_since_kubernetes_1_35(version: str, status: str) -> None:
    item = run_checks(on=host(kube_proxy_mode="ipvs", kube_version=version))["KubeProxyMode"]
    assert str(item.status) == status
