"""The identity of a node, read from its facts."""

from __future__ import annotations

import pytest

from tasks.core.kubeadm.identity import MACHINE_ID, PRODUCT_UUID, read_identity
from tests.support.builders import facts

WINDOW = (10.0, 12.5)


def test_names_and_uuids_are_compared_in_lower_case() -> None:
    seen = facts({"kernel.hostname": "N1", MACHINE_ID: "0aB", PRODUCT_UUID: "4C-4D"})
    identity = read_identity(seen, WINDOW, frozenset({"swap"}))
    assert (identity.hostname, identity.machine_id, identity.product_uuid) == ("n1", "0aB", "4c-4d")
    assert (identity.unreadable, identity.ignored) == (False, frozenset({"swap"}))


def test_a_product_uuid_for_root_only_is_unreadable() -> None:
    identity = read_identity(facts(hidden=[PRODUCT_UUID]), WINDOW, frozenset())
    assert (identity.product_uuid, identity.unreadable) == ("", True)


def test_the_clock_is_an_interval_that_holds_the_second_in_which_the_node_answered() -> None:
    """The node's second 1000 was at some moment between our 10.0 and 12.5."""
    assert read_identity(facts(more={"clock": ["1000"]}), WINDOW, frozenset()).clock == (987.5, 991.0)


@pytest.mark.parametrize("lines", [[], ["soon"], ["-1"], ["1" * 13], ["1 2"]])
def test_a_time_that_is_not_a_number_is_not_a_clock(lines: list[str]) -> None:
    assert read_identity(facts(more={"clock": lines}), WINDOW, frozenset()).clock is None
