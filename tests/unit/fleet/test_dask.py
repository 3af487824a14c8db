"""The dask engine without a scheduler: what travels, how many hosts at a time, and which code counts."""

from __future__ import annotations

import pickle
from functools import partial

import pytest

from tasks.core.plan.fix import parse_item
from tasks.fleet import dask
from tasks.node import rollback, steps
from tasks.node.conversation import NodeStep
from tasks.node.sudo import PasswordGates

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


def test_the_digest_of_the_code_covers_every_script_of_the_nodes() -> None:
    scripts = {path.name for path in dask.CODE.rglob("*.sh")}
    assert {"boot.sh", "main.sh", "probe.sh", "apply.sh"} <= scripts
    assert dask.code_digest() == dask.code_digest.__wrapped__()
    assert len(dask.code_digest()) == 12
