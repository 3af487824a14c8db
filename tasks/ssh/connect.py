"""A TCP connection within a deadline, which covers the resolver and all addresses of a name together."""

from __future__ import annotations

import socket
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from tasks.core.inventory.names import ip_literal
from tasks.ssh.deadline import Deadline


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a connection to the first address of a host that accepts one.

    Each address gets its share of the time that is left: eight silent ones behind one name cost as much as one. Raise
    TimeoutError at the deadline, OSError (gaierror for the name) for what goes wrong before.
    """
    addresses = resolve(host, port, deadline)
    failure: OSError = TimeoutError()
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.remaining() / (len(addresses) - number))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def resolve(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Return a host's addresses as socket.getaddrinfo does. Raise TimeoutError if the resolver is silent.

    A resolver cannot be interrupted: its thread is left behind, and ends when the resolver gives up.
    """
    if ip_literal(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    answers: SimpleQueue[list[Any] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:  # a label that is too long
            answers.put(socket.gaierror(socket.EAI_NONAME, str(error)))

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.remaining())
    except Empty:
        raise ResolverError(f"the resolver has no answer for {host}") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


class ResolverError(TimeoutError):
    """The resolver did not answer before the deadline."""
