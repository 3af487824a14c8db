"""The names of checks, as --ignore takes them."""

from __future__ import annotations

import pytest

from tasks.core.errors import UsageError
from tasks.core.kubeadm.names import parse_ignores


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
        ("zzz", "the names are CRI, Mem, Swap, "),
    ],
)
def test_a_name_that_no_check_has_is_refused_with_the_nearest(flag: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_ignores(flag)
    assert hint in str(error.value)
    assert repr(flag.rpartition(",")[2]) in str(error.value)
