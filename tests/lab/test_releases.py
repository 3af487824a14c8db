"""On each release: what apply did holds after a reboot, what people do to such a node is known before the next one,
and what harms nothing alarms nobody. Each case starts on a copy of the applied node, memory and disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.vm.lab import Lab
from lab.vm.node import Node
from tests.lab.cases import CASES, HARMLESS, RELEASES, Case
from tests.lab.conftest import RELEASE_PORTS, require_lab
from tests.lab.suite import MODULES, RECIPE_MODULES, LabSuite, as_it_should_be, seen
from tests.ssh.suite import Completed

pytestmark = pytest.mark.lab
AT_ONCE = 3  # nodes that boot together
BRIDGE = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
UNKNOWN_INIT = "busybox"  # of which verify claims nothing, and says so


@dataclass(frozen=True)
class Applied:
    """A release's node, applied, rebooted and frozen. runs: plan, apply, apply, and verify after the reboot."""

    release: str
    suite: LabSuite
    node: Node
    runs: Sequence[Completed]
    truth: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What verify said of a damaged node before the reboot, by item, and what was gone after it."""

    status: str
    notes: str
    wrong: dict[str, dict[str, Any]]
    gone: dict[str, str]


@pytest.fixture(scope="module")
def applied(request: pytest.FixtureRequest) -> Iterator[Applied]:
    """The frozen node of one release; its lab ends with the release's last test."""
    require_lab()
    folder = Path(tempfile.mkdtemp(prefix="nodeprep-lab-"))
    try:
        with Lab(folder, request.param, count=1, port_base=RELEASE_PORTS) as lab:
            suite, node = LabSuite(lab, folder), lab.nodes[0]
            runs = [suite.fab(verb) for verb in ("plan", "apply", "apply")]
            node.reboot()
            runs.append(suite.fab("verify"))
            truth = as_it_should_be(node)
            node.freeze()
            yield Applied(request.param, suite, node, runs, truth)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, applied: Applied) -> dict[str, Outcome]:
    """Every case of the release that was selected, done and rebooted."""
    found = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    cases = [each["case"] for each in found if "case" in each and each.get("applied") == applied.release]
    waves = [cases[first : first + AT_ONCE] for first in range(0, len(cases), AT_ONCE)]
    return {name: outcome for wave in waves for name, outcome in damaged(applied, wave).items()}


def damaged(applied: Applied, cases: Sequence[Case]) -> dict[str, Outcome]:
    """Some cases together, each on a node of its own."""
    lab = applied.suite.lab
    nodes = lab.thaw(applied.node, len(cases))
    try:
        return told_and_lost(applied, cases, nodes)
    finally:
        lab.drop(nodes)


def told_and_lost(applied: Applied, cases: Sequence[Case], nodes: Sequence[Node]) -> dict[str, Outcome]:
    """Does the damage, hears verify, and sees what the boot takes away."""
    done = [node.run(f"set -e; {case.damage}; sync") for node, case in zip(nodes, cases, strict=True)]
    assert [each.returncode for each in done] == [0] * len(cases), done
    said = applied.suite.fab("verify", on=names(nodes))
    applied.suite.lab.reboot(nodes)
    outcomes = {}
    for node, case in zip(nodes, cases, strict=True):
        after = seen(node, applied.truth)
        gone = {name: value for name, value in after.items() if value != applied.truth[name]}
        told = said.node(node.name)
        outcomes[case.name] = Outcome(told["status"], str(told["notes"]), said.items(node.name, wrong=True), gone)
    return outcomes


def names(nodes: Sequence[Node]) -> str:
    return ",".join(node.name for node in nodes)


each_release = pytest.mark.parametrize("applied", RELEASES, indirect=True)
each_case = pytest.mark.parametrize(
    ("applied", "case"),
    [
        pytest.param(release, case, marks=[] if release in case.always else pytest.mark.full, id=f"{release}-{case}")
        for release in RELEASES
        for case in CASES
        if release in case.tried
    ],
    indirect=["applied"],
)


@each_release
def test_what_apply_did_holds_after_a_reboot(applied: Applied) -> None:
    """The second apply had nothing to do, and verify agrees with what was read without it."""
    plan, first, second, verify = applied.runs
    assert [run.code for run in applied.runs] == [0, 0, 0, 0], verify.text
    assert [set(run.statuses.values()) for run in (plan, first, second, verify)] == [
        {"drift"},
        {"changed"},
        {"ok"},
        {"ok"},
    ]
    held = verify.items("lab-1")
    assert {held[name]["status"] for name in applied.truth} == {"ok"}


@each_case
def test_a_damage_is_known_before_the_reboot_that_proves_it(
    applied: Applied, case: Case, outcomes: dict[str, Outcome]
) -> None:
    """What verify calls lost is what the boot loses; where it loses nothing, verify is silent."""
    outcome, losses = outcomes[case.name], case.losses(applied.release)
    assert {name: outcome.gone.get(name) for name in losses} == {name: loss.after for name, loss in losses.items()}
    if applied.release == UNKNOWN_INIT:  # of our own files verify says what is wrong with them now
        assert "the next boot was not checked" in outcome.notes
        assert {item["kind"] for item in outcome.wrong.values()} <= {"file"}
        assert set(outcome.wrong) <= {loss.where for loss in losses.values()} | {MODULES}
        return
    if not losses:
        assert (outcome.status, outcome.wrong, outcome.gone) == ("ok", {}, {})
        assert "the next boot was not checked" not in outcome.notes
        return
    assert outcome.status == "drift"
    for name, loss in losses.items():
        assert loss.where in outcome.wrong or loss.where in outcome.wrong[name]["why"], outcome.wrong[name]
    predicted = {name: item["got"] for name, item in outcome.wrong.items() if item["got"].endswith(" at boot")}
    values = {name: got.removesuffix(" at boot") for name, got in predicted.items() if not got.startswith("not ")}
    assert values == {name: outcome.gone.get(name) for name in values}
    assert set(outcome.gone) <= set(predicted)
    assert set(predicted) - set(outcome.gone) <= right_by_itself(applied)


def right_by_itself(applied: Applied) -> set[str]:
    """What a boot without our files brings, too: right before the first apply, or right as its module brings it."""
    before = applied.runs[0].items("lab-1")
    return {name for name, item in before.items() if item["status"] == "ok"} | set(BRIDGE)


@contextmanager
def lived_in(applied: Applied) -> Iterator[list[Node]]:
    """Four healthy nodes with other people's files, each with others."""
    nodes = applied.suite.lab.thaw(applied.node, len(HARMLESS))
    try:
        for node, habit in zip(nodes, HARMLESS, strict=True):
            assert node.run(f"set -e; {habit}; sync").returncode == 0
        yield nodes
    finally:
        applied.suite.lab.drop(nodes)


@each_release
def test_healthy_nodes_alarm_nobody(applied: Applied) -> None:
    with lived_in(applied) as nodes:
        verify = applied.suite.fab("verify", on=names(nodes))
        assert (verify.code, set(verify.statuses.values())) == (0, {"ok"}), verify.text


@pytest.mark.full
@each_release
def test_healthy_nodes_are_healthy_after_a_reboot(applied: Applied) -> None:
    """So that it was right to say nothing about them."""
    with lived_in(applied) as nodes:
        for first in range(0, len(nodes), AT_ONCE):
            applied.suite.lab.reboot(nodes[first : first + AT_ONCE])
        assert [seen(node, RECIPE_MODULES) for node in nodes] == [dict.fromkeys(RECIPE_MODULES, "loaded")] * len(nodes)
        verify = applied.suite.fab("verify", on=names(nodes))
        assert (verify.code, set(verify.statuses.values())) == (0, {"ok"}), verify.text
