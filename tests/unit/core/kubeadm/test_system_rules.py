"""The table of rules: in order, complete, and in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.kubeadm.inputs import NEWEST
from tasks.core.kubeadm.system_rules import KERNEL_OPTIONS, RULES, Rules, find_rules

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "kubeadm-preflight.md"


@pytest.mark.parametrize(
    ("version", "since"),
    [
        ((0, 1, 0), (0, 0, 0)),
        ((1, 31, NEWEST), (0, 0, 0)),
        ((1, 32, 9), (1, 32, 0)),
        ((1, 32, NEWEST), (1, 32, 10)),
        ((1, 33, 5), (1, 33, 0)),
        ((1, 33, 6), (1, 33, 6)),
        ((1, 34, 1), (1, 34, 0)),
        ((1, 35, 0), (1, 35, 0)),
        ((NEWEST, NEWEST, NEWEST), (1, 35, 0)),
    ],
)
def test_the_rules_of_a_version_are_the_last_that_began_before_it(
    version: tuple[int, int, int], since: tuple[int, int, int]
) -> None:
    assert find_rules(version).since == since
    assert sorted(rules.since for rules in RULES) == [rules.since for rules in RULES]


def test_every_option_of_a_rule_is_asked_of_the_node() -> None:
    asked = set(KERNEL_OPTIONS.split("|"))
    assert all(set(rules.options_v1) | set(rules.options_v2) <= asked for rules in RULES)


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: str(rules.since))
def test_the_documentation_lists_the_kernels_of_every_rule(rules: Rules) -> None:
    listed = {line.split(" | ")[2] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if " | 1." in line}
    assert rules.listed in listed
