"""A relay between fab and nodes that a test can cut or mute."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
from threading import Lock, Thread
from typing import Self

from lab.fleet.fleet import Address

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Relay:
    """One thread that carries bytes both ways between our listeners and nodes."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = Lock()
        self._pairs: dict[str, list[socket.socket]] = {}
        self._listeners: list[socket.socket] = []
        self._wake, self._woken = socket.socketpair()
        self._over = False
        self._thread = Thread(target=self._carry)

    def __enter__(self) -> Self:
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._wake.send(b"x")
        self._thread.join()
        for name in list(self._pairs):
            self.cut(name)
        for each in (*self._listeners, self._wake, self._woken):
            each.close()
        self._selector.close()

    def to(self, address: Address) -> Address:
        """Return the address that leads to a node. cut() and mute() take the node's host."""
        listener = socket.create_server(("127.0.0.1", 0))
        with self._lock:
            self._listeners.append(listener)
            self._selector.register(listener, selectors.EVENT_READ, address)
        self._wake.send(b"x")
        return Address(*listener.getsockname())

    def cut(self, host: str) -> None:
        """Reset the connections of a node, seen by both ends."""
        with self._lock:
            for each in self._pairs.pop(host, []):
                self._forget(each)
                with contextlib.suppress(OSError):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.close()

    def mute(self, host: str) -> None:
        """Stop carrying bytes of a node; no end is told."""
        with self._lock:
            for each in self._pairs.get(host, []):
                self._forget(each)

    def _forget(self, each: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(each)

    def _carry(self) -> None:
        while not self._over:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    self._woken.recv(100)
                elif isinstance(key.data, Address):
                    self._connect(key.fileobj, key.data)  # type: ignore[arg-type] # a listener
                else:
                    self._pass_on(key.fileobj, *key.data)  # type: ignore[arg-type] # a connection

    def _connect(self, listener: socket.socket, address: Address) -> None:
        near = listener.accept()[0]
        try:
            far = socket.create_connection(address, 10)
        except OSError:
            near.close()
            return
        with self._lock:
            self._pairs.setdefault(address.host, []).extend((near, far))
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(one, selectors.EVENT_READ, (other, address.host))

    def _pass_on(self, one: socket.socket, other: socket.socket, host: str) -> None:
        with contextlib.suppress(OSError):
            if data := one.recv(65536):
                other.sendall(data)
                return
        with self._lock:  # one end is over: so is the other
            for each in (one, other):
                self._forget(each)
                each.close()
            self._pairs[host] = [each for each in self._pairs.get(host, []) if each not in (one, other)]
