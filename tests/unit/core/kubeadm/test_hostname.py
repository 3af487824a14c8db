"""Hostname: the names that kubeadm accepts."""

from __future__ import annotations

import pytest

from tests.support.kubeadm import findings, run_checks


@pytest.mark.parametrize("name", ["n_1", "-n", "n-", "", "a..b", "n1.", "x" * 254])
def test_a_hostname_that_kubeadm_refuses_is_drift(name: str) -> None:
    assert findings(run_checks({"kernel.hostname": name})) == {"Hostname": "drift"}


@pytest.mark.parametrize("name", ["n1", "N1", "a.b-c.d", "1"])
def test_kubeadm_takes_a_hostname_in_lower_case(name: str) -> None:
    assert findings(run_checks({"kernel.hostname": name})) == {}


def test_the_way_to_another_name_is_that_of_the_nodes_init() -> None:
    bad: dict[str, str | None] = {"kernel.hostname": "n_1"}
    assert "hostnamectl" in run_checks(bad, hidden=["/run/systemd/system"])["Hostname"].next_step
    assert "hostnamectl" not in run_checks(bad, hidden=["/run/openrc"])["Hostname"].next_step
