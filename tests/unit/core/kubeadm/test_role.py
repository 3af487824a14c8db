"""The role of a node: its groups, or a variable."""

from __future__ import annotations

import pytest

from tasks.core.errors import UsageError
from tasks.core.kubeadm.role import find_role
from tests.support.builders import host


@pytest.mark.parametrize("given", ["master", ["worker"], 1])
def test_a_part_that_no_node_has_is_a_usage_error(given: object) -> None:
    with pytest.raises(UsageError, match="host n1: kubeadm_role: expected one of control-plane, worker, etcd"):
        find_role(host(kubeadm_role=given))
