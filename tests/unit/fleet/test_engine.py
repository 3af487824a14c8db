"""The engine of this process, and a job on one host."""

from __future__ import annotations

import socket

import fabric
import pytest

from tasks.core.host import Host, HostKeys, SshOptions
from tasks.core.result import NodeResult, Status
from tasks.fleet.engine import Job, Threads, run_on_host
from tasks.fleet.slots import Slot, Slots
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation
from tasks.ssh.route import Access
from tests.support.steps import CHANGE


def scan(conversation: Conversation, host: Host, _: StepContext) -> NodeResult:
    """Send the smallest request, which connects."""
    conversation.ask(["scan"])
    return NodeResult(host.name, Status.OK)


@pytest.fixture
def job() -> Job:
    return Job(scan, StepContext({}, CHANGE), Access.of(fabric.Config(), HostKeys.STRICT), 5.0)


def test_a_host_that_refuses_connections_is_unreachable_and_timed(job: Job) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = Host("n1", "127.0.0.1", port=taken.getsockname()[1], ssh=SshOptions(not_honoured=("x=1",)))
        result = Threads().task(job)(host, Slot(Slots(2)))
    assert (result.host, result.status) == ("n1", Status.UNREACHABLE)
    assert "Connection refused" in result.problem
    assert result.notes == ("not honoured: x=1",)
    assert 0 < result.seconds < 5


def test_a_host_with_a_nonsensical_port_has_a_result_too(job: Job) -> None:
    result = run_on_host(job, Host("n0", "192.0.2.0", port=-1))
    assert result.status in (Status.FAILED, Status.UNREACHABLE)


def test_as_many_hosts_as_forks_are_worked_on_at_a_time() -> None:
    assert Threads().concurrency(20) == 20
