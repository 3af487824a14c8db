"""The dask engine without a scheduler: what travels, how many hosts at a time, and which code counts."""

from __future__ import annotations

import pickle
from functools import partial

import fabric
import pytest

from tasks.core.host import Host
from tasks.core.plan.fix import parse_item
from tasks.core.result import Status
from tasks.fleet import dask
from tasks.fleet.engine import Job
from tasks.fleet.slots import Slot, Slots
from tasks.node import rollback, steps
from tasks.node.context import StepContext
from tasks.node.conversation import NodeStep
from tasks.node.sudo import PasswordGates
from tasks.ssh.route import Access
from tests.support.steps import CHANGE

STEPS: list[NodeStep] = [
    steps.plan_host,
    steps.apply_host,
    steps.verify_host,
    steps.render_host,
    partial(steps.fix_host, parse_item("vm.x=1"), True),
    rollback.list_snapshots,
    partial(rollback.plan_rollback, ""),
    partial(rollback.rollback_host, ""),
]


@pytest.mark.parametrize("step", STEPS)
def test_every_verbs_step_can_travel(step: NodeStep) -> None:
    assert callable(pickle.loads(pickle.dumps(step)))


def test_gates_are_new_where_they_arrive() -> None:
    gates = PasswordGates()
    copy = pickle.loads(pickle.dumps(gates))
    assert isinstance(copy, PasswordGates)
    assert copy is not gates


def test_a_worker_takes_as_many_hosts_as_it_has_threads_and_no_more_than_forks() -> None:
    class Client:
        def nthreads(self) -> dict[str, int]:
            return {"tcp://a": 4, "tcp://b": 50}

    assert dask.Workers(Client(), "tcp://s").concurrency(20) == 24


def test_workers_that_never_answer_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        """A scheduler whose only worker keeps every task."""

        def submit(self, *_: object, **__: object) -> Client:
            return self

        def result(self, timeout: float) -> None:
            raise TimeoutError

        def nthreads(self) -> dict[str, int]:
            return {"tcp://a": 1}

    job = Job(
        steps.plan_host,
        StepContext({}, CHANGE),
        Access.of(fabric.Config(), None),
        0.01,
    )
    result = dask.Workers(Client(), "tcp://s").task(job)(Host("n1", "192.0.2.1"), Slot(Slots(1)))
    assert (result.host, result.status) == ("n1", Status.FAILED)
    assert result.problem == "no dask worker at tcp://s answers"


def test_the_digest_of_the_code_covers_every_script_of_the_nodes() -> None:
    scripts = {path.name for path in dask.CODE.rglob("*.sh")}
    assert {"boot.sh", "main.sh", "probe.sh", "apply.sh"} <= scripts
    assert dask.code_digest() == dask.code_digest.__wrapped__()
    assert len(dask.code_digest()) == 12
