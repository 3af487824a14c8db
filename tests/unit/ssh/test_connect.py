"""A connection within a deadline: the resolver, several addresses, and the one that answers."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from tasks.ssh.connect import ResolverError, connect, resolve
from tasks.ssh.deadline import Deadline


@contextlib.contextmanager
def silent() -> Iterator[Any]:
    """An address that accepts no more connections and refuses none: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(listener.getsockname())
        yield listener.getsockname()


def info(address: Any) -> Any:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", address)


def test_eight_silent_addresses_behind_one_name_cost_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent() as address:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [info(address)] * 8)
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            connect("n1", 22, Deadline(0.4))
    assert 0.3 < time.monotonic() - start < 2


def test_an_address_behind_a_silent_and_a_closed_one_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent() as address, socket.create_server(("127.0.0.1", 0)) as server:
        found = [info(address), info(("127.0.0.1", 1)), info(server.getsockname())]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with connect("n1", 22, Deadline(1.5)) as sock:
            assert sock.getpeername() == server.getsockname()


def test_the_reason_of_the_last_address_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [info(("127.0.0.1", 1))] * 2)
    with pytest.raises(ConnectionRefusedError):
        connect("n1", 22, Deadline(5))


def test_a_silent_resolver_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [over.wait(30)])
    start = time.monotonic()
    try:
        with pytest.raises(ResolverError, match="no answer for n1"):
            connect("n1", 22, Deadline(0.2))
        assert time.monotonic() - start < 5
    finally:
        over.set()


def test_an_address_is_not_asked_for_and_a_wrong_name_is_told() -> None:
    assert resolve("192.0.2.1", 23, Deadline(5))[0][-1] == ("192.0.2.1", 23)
    for name in ("no-such-host.invalid", "x" * 80 + ".invalid"):
        with pytest.raises(socket.gaierror):
            resolve(name, 22, Deadline(20))
