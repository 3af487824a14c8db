"""Ignored checks: named in the inventory, and what becomes of their items."""

from __future__ import annotations

import pytest

from tasks.core.kubeadm.ignores import apply_ignores, ignored_of_host, parse_inventory_ignores
from tasks.core.kubeadm.swap import SWAPS
from tasks.core.result import Item, ItemStatus, Kind
from tests.support.builders import host
from tests.support.kubeadm import findings, run_checks


@pytest.mark.parametrize("value", ["CRI,Swap", ["CRI", "Swap"], "cri, swap"])
def test_the_inventorys_names_are_a_list_or_comma_text(value: object) -> None:
    assert ignored_of_host(host(kubeadm_ignore_preflight_errors=value)) == {"cri", "swap"}


def test_what_is_unknown_in_the_inventory_is_kubeadms_own_affair() -> None:
    assert parse_inventory_ignores(["SomethingNew"]) == {"somethingnew"}
    assert ignored_of_host(host()) == frozenset()


@pytest.mark.parametrize(("got", "said"), [(None, "absent"), ("", "empty"), ("0", "0")])
def test_what_is_ignored_says_what_was_run_checks(got: str | None, said: str) -> None:
    name = "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"
    (item,) = apply_ignores([Item(Kind.CHECK, name, ItemStatus.DRIFT, "1", got, "", "a step")], {name.lower()})
    assert (item.status, item.why) == (ItemStatus.SKIPPED, f"ignored, as requested: expected 1, got {said}")


@pytest.mark.parametrize("names", ["CRI,Swap", "cri,SWAP,port-1", "all"])
def test_what_is_to_be_ignored_is_skipped_and_says_what_it_was(names: str) -> None:
    items = run_checks({SWAPS: "Filename\n/swap file 1 0 -2"}, listeners=(), ignore=names)
    assert findings(items) == {"CRI": "skipped", "Swap": "skipped"}
    assert items["CRI"].why == "ignored, as requested: expected a container runtime that listens, got none"
