"""The names of checks, as --ignore and Kubespray's variable give them."""

from __future__ import annotations

import pytest

from tasks.core.errors import UsageError
from tasks.core.kubeadm import checks as join
from tasks.core.kubeadm.names import apply_ignores, parse_ignores, parse_inventory_ignores
from tasks.core.result import Item, ItemStatus, Kind
from tests.support.builders import host


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("", set()),
        ("Swap", {"swap"}),
        ("swap, CRI,", {"swap", "cri"}),
        ("all", {"all"}),
        ("ClockSkew", {"clockskew"}),
        ("IsPrivilegedUser", {"isprivilegeduser"}),  # kubeadm's, left to it
        ("Port-10250,Port-9", {"port-10250", "port-9"}),
        ("FileContent--proc-sys-net-ipv4-ip_forward", {"filecontent--proc-sys-net-ipv4-ip_forward"}),
        ("DirAvailable--var-lib-etcd,FileExisting-conntrack", {"diravailable--var-lib-etcd", "fileexisting-conntrack"}),
    ],
)
def test_names_are_kubeadms_in_any_case(flag: str, names: set[str]) -> None:
    assert parse_ignores(flag) == names


@pytest.mark.parametrize(
    ("flag", "hint"),
    [
        ("swp", "did you mean Swap?"),
        ("Swap,SystemVerfication", "did you mean SystemVerification?"),
        ("Port-", "did you mean Port-"),
        ("zzz", "the names are Swap, "),
    ],
)
def test_a_name_that_no_check_has_is_refused_with_the_nearest(flag: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_ignores(flag)
    assert hint in str(error.value)
    assert repr(flag.rpartition(",")[2]) in str(error.value)


@pytest.mark.parametrize("value", ["CRI,Swap", ["CRI", "Swap"], "cri, swap"])
def test_the_inventorys_names_are_a_list_or_comma_text(value: object) -> None:
    assert join.ignored_of_host(host(kubeadm_ignore_preflight_errors=value)) == {"cri", "swap"}


def test_what_is_unknown_in_the_inventory_is_kubeadms_own_affair() -> None:
    assert parse_inventory_ignores(["SomethingNew"]) == {"somethingnew"}
    assert join.ignored_of_host(host()) == frozenset()


@pytest.mark.parametrize(("got", "said"), [(None, "absent"), ("", "empty"), ("0", "0")])
def test_what_is_ignored_says_what_was_found(got: str | None, said: str) -> None:
    name = "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"
    (item,) = apply_ignores([Item(Kind.CHECK, name, ItemStatus.DRIFT, "1", got, "", "a step")], {name.lower()})
    assert (item.status, item.why) == (ItemStatus.SKIPPED, f"ignored, as asked for: expected 1, got {said}")
