"""Results of a host: from items, and from an error."""

from __future__ import annotations

import pytest

from tasks.core.errors import RemoteError, UnreachableError, UsageError
from tasks.core.result import Status
from tasks.node import steps as node
from tasks.node.conversation import Conversation
from tasks.node.results import failure_result
from tests.support.builders import Node, host
from tests.support.steps import (
    JOBS,
    DictChannel,
)


def test_terminal_escapes_of_a_node_never_reach_the_result() -> None:
    far = Node(keys={"vm.x": "\x1b[31mred\x9b"})
    channel = DictChannel(far)
    done = node.plan_host(Conversation(channel), host(), JOBS)
    assert [item.got for item in done.items if item.name == "vm.x"] == ["?[31mred?"]


@pytest.mark.parametrize(
    ("error", "status", "step"),
    [
        (UnreachableError("a", "b"), Status.UNREACHABLE, "b"),
        (RemoteError("a", "b"), Status.FAILED, "b"),
        (KeyError("a"), Status.FAILED, "this is a bug in nodeprep: please report it"),
        (UsageError("a"), Status.FAILED, ""),
    ],
)
def test_an_error_is_its_hosts_own_result(error: Exception, status: Status, step: str) -> None:
    found = failure_result(host(), error)
    assert (found.host, found.status) == ("n1", status)
    assert step in found.next_step
