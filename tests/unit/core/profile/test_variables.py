"""The variables that a template sees of a host."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.errors import UsageError
from tasks.core.host import Host
from tasks.core.profile.variables import SAMPLE, template_variables
from tests.support.builders import facts


def host(**variables: object) -> Host:
    return Host("n1", "192.0.2.1", groups=("nodes", "web"), variables=variables)


def test_templates_see_the_name_and_the_groups_of_a_host() -> None:
    found = template_variables(host(mtu=1450))
    assert found == {"mtu": 1450, "inventory_hostname": "n1", "group_names": ["nodes", "web"]}


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({"kube_proxy_mode": "ipvs"}, "ipvs"),
        ({"PROXY_MODE": "IPTables"}, "iptables"),
        ({"kube_proxy_mode": "nftables", "PROXY_MODE": "ipvs"}, "nftables"),
    ],
)
def test_the_proxy_mode_comes_from_kubespray_then_kubeasz(variables: dict[str, Any], mode: str) -> None:
    assert template_variables(host(**variables))["kube_proxy_mode"] == mode


@pytest.mark.parametrize("name", ["kube_proxy_mode", "PROXY_MODE"])
@pytest.mark.parametrize("value", ["userspace", "", None, 1, "{{ mode }}"])
def test_a_proxy_mode_that_does_not_exist_names_host_and_variable(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^host n1: {name}: expected one of ipvs, iptables, nftables, got "):
        template_variables(host(**{name: value}))


def test_the_sample_has_every_fact_of_a_node_and_of_the_same_type() -> None:
    real = facts().for_templates()
    assert SAMPLE.keys() == real.keys()
    assert {name: type(value) for name, value in SAMPLE.items()} == {name: type(value) for name, value in real.items()}
