"""Results of a host: from items, and from an error."""

from __future__ import annotations

import pytest

from tasks.core.errors import RemoteError, UnreachableError, UsageError
from tasks.core.host import Host
from tasks.core.result import Item, ItemStatus, Kind, Status
from tasks.core.sanitize import MAX_TEXT, UNSAFE_CHARACTERS
from tasks.node import steps as node
from tasks.node.conversation import Conversation
from tasks.node.results import failure_result, make_result
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


LONG = "a\x1b[2J" * 100_000


def test_no_text_of_a_node_is_long_or_has_escapes_in_a_result() -> None:
    item = Item(Kind.FILE, LONG, ItemStatus.DRIFT, LONG, LONG, LONG, LONG, LONG)
    done = make_result(Host("n1", "192.0.2.1"), [item], Status.DRIFT)
    failed = failure_result(Host("n1", "192.0.2.1"), RemoteError(LONG, LONG))
    texts = [text for text in done.items[0] if isinstance(text, str)]
    for text in (*texts, failed.problem, failed.next_step):
        assert len(text) <= MAX_TEXT + 40
        assert not UNSAFE_CHARACTERS.search(text)
