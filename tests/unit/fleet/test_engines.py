"""The values of --engine, and what may travel to an engine on other machines."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tasks.core.errors import UsageError
from tasks.core.host import Become, Host, SshOptions
from tasks.core.redact import Secret, redact_variables
from tasks.fleet.engine import Threads
from tasks.fleet.engines import hosts_for_engine, open_engine

SCHEDULER = "dask=tcp://192.0.2.1:8786"
PLAIN = Host("n1", "192.0.2.9", variables={"x": 1})


@pytest.mark.parametrize(
    "value", ["", "thread", "threads ", "dask", "dask=", "dask=192.0.2.1:8786", "dask=http://x", "DASK=tcp://x"]
)
def test_an_unknown_engine_is_refused(value: str) -> None:
    for use in (open_engine, lambda value: hosts_for_engine(value, [PLAIN], secrets=False)):
        with pytest.raises(UsageError, match="--engine: expected threads, or dask=tcp://"):
            use(value)


def test_threads_get_the_hosts_as_they_are() -> None:
    host = replace(PLAIN, become=Become(password=Secret("x")), variables={"db_password": "y"})
    assert hosts_for_engine("threads", [host], secrets=True) == (host,)
    with open_engine("threads") as engine:
        assert isinstance(engine, Threads)


@pytest.mark.parametrize(
    ("host", "secrets", "owner"),
    [
        (replace(PLAIN, become=Become(password=Secret("hunter2"))), False, "n1"),
        (replace(PLAIN, ssh=SshOptions(password=Secret("hunter2"))), False, "n1"),
        (PLAIN, True, "the command line"),
    ],
)
@pytest.mark.parametrize("value", [SCHEDULER, SCHEDULER.replace("tcp", "tls")])
def test_no_password_travels_to_a_worker(value: str, host: Host, secrets: bool, owner: str) -> None:
    with pytest.raises(UsageError, match=f"no password travels to dask workers, and {owner} has one") as caught:
        hosts_for_engine(value, [host], secrets=secrets)
    assert "hunter2" not in str(caught.value)


def test_variables_that_hold_a_secret_anywhere_stay_behind() -> None:
    kept = {"kube_proxy_mode": "ipvs", "ansible_host": "192.0.2.9", "nested": {"a": [1, {"b": "c"}]}, "none": None}
    secret = {"api_token": "s", "db": {"user": "u", "password": "s"}, "all": [{"deep": {"client_secret": "s"}}]}
    (host,) = hosts_for_engine(SCHEDULER, [replace(PLAIN, variables={**kept, **secret})], secrets=False)
    assert host.variables == redact_variables({**kept, **secret}) == kept


def test_without_dask_the_error_names_the_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install -r requirements-dask.txt"), open_engine(SCHEDULER):
        pass
