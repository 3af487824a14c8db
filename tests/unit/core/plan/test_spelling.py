"""What was meant by a name that the kernel does not have."""

from __future__ import annotations

import pytest

from tasks.core.plan.diff import diff
from tasks.core.plan.fix import fix_desired, parse_item
from tasks.core.plan.spelling import suggest_names
from tasks.core.result import Item, ItemStatus, Kind
from tests.support.builders import facts, rendered

PROFILE = rendered("net.core.somaxconn = 32768\n", "ip_vs\noverlay | overlay2\n")
FACTS = facts({"kernel.threads-max": "1"}, loadable=["nf_conntrack"])


def step(typed: str) -> str:
    item = diff(fix_desired(parse_item(typed), FACTS, persist=False), FACTS).items[0]
    assert item.status is ItemStatus.MISSING
    return suggest_names([item], [PROFILE])[0].next_step


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("net.ipv4.ip_forwad=1", "did you mean net.ipv4.ip_forward? fab -H NODE fix net.ipv4.ip_forward=1"),
        ("net.core.somaxcon=4 5", "did you mean net.core.somaxconn? fab -H NODE fix 'net.core.somaxconn=4 5'"),
        ("vm.nothing_like_it=1", "check its spelling"),
        ("net.core.somaxconn=1", "check its spelling"),
        (
            "net.netfilter.nf_conntrack_nothing=1",
            "check its spelling; its module is nf_conntrack: fab -H NODE fix nf_conntrack",
        ),
        ("ipvs", "did you mean ip_vs? fab -H NODE fix ip_vs"),
        ("overlayfs2", "did you mean overlay2? fab -H NODE fix overlay2"),
        ("br_netfiler", "did you mean br_netfilter? fab -H NODE fix br_netfilter"),
    ],
)
def test_a_misspelt_name_is_asked_about_and_no_profile_is_edited(typed: str, expected: str) -> None:
    assert step(typed) == expected


def test_a_module_that_is_like_no_other_is_misspelt_or_in_a_package() -> None:
    assert step("nosuchmodule").startswith("check its spelling; else install the distribution's package")
    assert step("ip_vs").startswith("install the distribution's package")


def test_other_items_are_left_alone() -> None:
    items = (
        Item(Kind.SYSCTL, "net.ipv4.ip_forwad", ItemStatus.OK, "1", "1"),
        Item(Kind.FILE, "/etc/x", ItemStatus.MISSING, "there", None, "", "make it"),
    )
    assert suggest_names(items, [PROFILE]) == items
