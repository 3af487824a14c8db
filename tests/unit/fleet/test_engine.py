"""Engines: what may travel to dask workers, and how many hosts are worked on at a time."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from functools import partial

import pytest

from tasks.core.errors import UsageError
from tasks.core.host import Become, Host, SshOptions
from tasks.core.plan.fix import parse_item
from tasks.core.redact import Secret, redact_variables
from tasks.fleet import dask, engine
from tasks.fleet import engines as engine_engines
from tasks.node import conversation as node_conversation
from tasks.node import rollback
from tasks.node import steps as node
from tasks.node.sudo import PasswordGates

SCHEDULER = "dask=tcp://192.0.2.1:8786"
PLAIN = Host("n1", "192.0.2.9", variables={"x": 1})


@pytest.mark.parametrize(
    "name", ["", "thread", "dask", "dask=", "dask=192.0.2.1:8786", "dask=http://x", "DASK=tcp://x"]
)
def test_what_is_no_engine_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--engine: expected threads, or dask=tcp://"):
        engine_engines.hosts_for_engine(name, [PLAIN], secrets=False)


def test_threads_get_the_hosts_as_they_are() -> None:
    host = replace(PLAIN, become=Become(password=Secret("x")), variables={"db_password": "y"})
    assert engine_engines.hosts_for_engine("threads", [host], secrets=True) == (host,)


@pytest.mark.parametrize(
    ("host", "secrets", "whose"),
    [
        (replace(PLAIN, become=Become(password=Secret("hunter2"))), False, "n1"),
        (replace(PLAIN, ssh=SshOptions(password=Secret("hunter2"))), False, "n1"),
        (PLAIN, True, "the command line"),
    ],
)
@pytest.mark.parametrize("name", [SCHEDULER, SCHEDULER.replace("tcp", "tls")])
def test_no_password_travels_to_a_worker(name: str, host: Host, secrets: bool, whose: str) -> None:
    with pytest.raises(UsageError, match=f"no password travels to dask workers, and {whose} has one") as caught:
        engine_engines.hosts_for_engine(name, [host], secrets=secrets)
    assert "hunter2" not in str(caught.value)


def test_variables_that_hold_a_secret_anywhere_stay_behind() -> None:
    kept = {"kube_proxy_mode": "ipvs", "ansible_host": "192.0.2.9", "nested": {"a": [1, {"b": "c"}]}, "none": None}
    secret = {"api_token": "s", "db": {"user": "u", "password": "s"}, "all": [{"deep": {"client_secret": "s"}}]}
    (host,) = engine_engines.hosts_for_engine(SCHEDULER, [replace(PLAIN, variables={**kept, **secret})], secrets=False)
    assert host.variables == redact_variables({**kept, **secret}) == kept


STEPS: list[node_conversation.NodeStep] = [
    node.plan_host,
    node.apply_host,
    node.verify_host,
    node.render_host,
    partial(node.fix_host, parse_item("vm.x=1"), True),
    rollback.list_snapshots,
    partial(rollback.plan_rollback, ""),
    partial(rollback.rollback_host, ""),
]


@pytest.mark.parametrize("step", STEPS)
def test_every_verbs_step_can_travel(step: node_conversation.NodeStep) -> None:
    assert callable(pickle.loads(pickle.dumps(step)))


def test_gates_are_new_where_they_arrive() -> None:
    gates = PasswordGates()
    there = pickle.loads(pickle.dumps(gates))
    assert isinstance(there, PasswordGates)
    assert there is not gates


def test_without_dask_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(UsageError, match=r"pip install -r requirements-dask.txt"),
        engine_engines.open_engine(SCHEDULER),
    ):
        pass


def test_a_worker_takes_as_many_hosts_as_it_has_threads_and_no_more_than_forks() -> None:
    class Client:
        def nthreads(self) -> dict[str, int]:
            return {"tcp://a": 4, "tcp://b": 50}

    assert dask.Workers(Client(), "tcp://s").concurrency(20) == 24
    assert engine.Threads().concurrency(20) == 20


def test_the_digest_of_the_code_covers_every_script_of_the_nodes() -> None:
    scripts = {path.name for path in dask.CODE.rglob("*.sh")}
    assert {"boot.sh", "main.sh", "probe.sh", "apply.sh"} <= scripts
    assert dask.code_digest() == dask.code_digest.__wrapped__()
    assert len(dask.code_digest()) == 12
