"""Show the floor: paramiko's protocol engine driven by one selector, all after the key exchange in one flight.

This prototype shows the most that SSH allows. It is not a model for a tool: it knows one key, one user, one command,
and host keys of one type. It connects before it imports paramiko, so that the nodes' sshd start meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from bench.peers import site

BANNER = b"SSH-2.0-paramiko_5.1.0\r\n"
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
SECONDS = 600


def begin_connect(host: str) -> socket.socket:
    """Begin to connect to a host, and return the socket without waiting."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect_ex((host, site.PORT))
    return sock


def greet(sockets: dict[str, socket.socket]) -> None:
    """Send our version on each socket as soon as it is connected."""
    for sock in sockets.values():
        sock.settimeout(5)
        with contextlib.suppress(OSError):  # run() gets the same error, and reports it
            sock.sendall(BANNER)
        sock.setblocking(False)


early = {host: begin_connect(host) for host in site.hosts()[: site.FORKS]}
greeter = threading.Thread(target=greet, args=(early,))
greeter.start()
sys.modules["invoke"] = None  # type: ignore[assignment] # paramiko uses it for `Match exec` alone: 40 ms of imports
import paramiko  # noqa: E402
from paramiko import Message, Transport  # noqa: E402
from paramiko.ed25519key import Ed25519Key  # noqa: E402
from paramiko.packet import Packetizer  # noqa: E402

del sys.modules["invoke"]


class Quiet(Packetizer):
    """Drop the threading.Timer that bounds each handshake."""

    def start_handshake(self, timeout: float) -> None:
        """Start no timer."""


class Wire:
    """Stand in for Transport's socket with two buffers."""

    def __init__(self) -> None:
        self.inbox, self.outbox = bytearray(), bytearray()

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes that were received."""
        piece = bytes(self.inbox[:size])
        del self.inbox[:size]
        return piece

    def send(self, data: bytes) -> int:
        """Keep bytes that flush() will send; return their number."""
        self.outbox += data
        return len(data)

    def settimeout(self, timeout: float) -> None:
        """Do nothing: no call here waits."""

    def close(self) -> None:
        """Do nothing: Session closes the real socket."""


class Session(Transport):
    """Serve one host: connect, run one command, end. It never starts Transport's thread."""

    _preferred_kex = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
    _preferred_ciphers = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
    _preferred_macs = ("hmac-sha2-256",)
    _preferred_keys = ("ssh-ed25519",)

    def __init__(self, host: str, command: str, key: Ed25519Key, known: str, selector: selectors.BaseSelector) -> None:
        self.wire = Wire()
        super().__init__(self.wire, packetizer_class=Quiet)  # type: ignore[arg-type]
        self.host, self.command, self.key, self.known, self.selector = host, command, key, known, selector
        self.active, self.tag, self.done = True, 0, False
        self.code = -1
        self.out: list[bytes] = []
        self.error: Exception | None = None
        self.fd = early.pop(host) if host in early else self._late(host)
        selector.register(self.fd, WRITE, self)
        self._send_kex_init()  # type: ignore[attr-defined] # right after our version, before the host has sent its own

    def _late(self, host: str) -> socket.socket:
        self.wire.send(BANNER)
        return begin_connect(host)

    def _log(self, level: int, msg: object, *args: object) -> None:
        pass

    def flush(self) -> None:
        """Send as much of the waiting bytes as the socket takes."""
        if self.wire.outbox:
            sent = self.fd.send(self.wire.outbox)
            del self.wire.outbox[:sent]
            self.selector.modify(self.fd, READ | (WRITE if self.wire.outbox else 0), self)

    def handle_events(self, events: int) -> None:
        """Write to and read from the socket, as it is ready. Any error ends this host alone."""
        try:
            if events & WRITE:
                self.flush()
            if events & READ:
                self._take()
        except Exception as error:
            self.error = error
            self.end()

    def _take(self) -> None:
        data = self.fd.recv(262144)
        if not data:
            raise EOFError("closed by the host")
        self.fd.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.wire.inbox += data
        self._read_version()
        while self.remote_version and not self.done and self._has_packet():
            self._handle(*self.packetizer.read_message())
        if not self.done:
            self.flush()

    def end(self) -> None:
        """Close the connection."""
        self.done = True
        self.selector.unregister(self.fd)
        self.fd.close()

    def _read_version(self) -> None:
        while not self.remote_version and b"\n" in self.wire.inbox:
            line, _, rest = bytes(self.wire.inbox).partition(b"\n")
            self.wire.inbox[:] = rest
            if line.startswith(b"SSH-2.0-"):
                self.remote_version = line.rstrip(b"\r").decode()

    def _has_packet(self) -> bool:
        inbox = self.wire.inbox
        return len(inbox) >= 8 and len(inbox) >= 4 + int.from_bytes(inbox[:4], "big") + self.tag

    def _activate_inbound(self) -> None:
        super()._activate_inbound()  # type: ignore[misc]
        self.tag = 16  # from now on each packet ends with GCM's tag

    def _handle(self, kind: int, message: Message) -> None:
        """Handle one packet by its number in RFC 4253, 4252 or 4254."""
        if kind in (20, 21):  # KEXINIT, NEWKEYS
            table: Any = self._handler_table  # type: ignore[attr-defined]
            table[kind](message)
        elif 30 <= kind <= 41:
            self._finish_exchange(kind, message)
        elif kind in (1, 51, 92, 100):
            raise paramiko.SSHException(f"refused: message {kind}")
        elif kind == 94:
            message.get_int()
            self.out.append(message.get_binary())
        elif kind == 98:
            self._request(message)
        elif kind == 97:
            self._send(97, 0)
            self._send(1, 11, "", "")
            self.flush()
            self.end()

    def _finish_exchange(self, kind: int, message: Message) -> None:
        """Check that the key that the host has proved is the known one, then send all the rest at once."""
        self.kex_engine.parse_next(kind, message)  # type: ignore[union-attr]
        if self.host_key.get_base64() != self.known:  # type: ignore[union-attr]
            raise paramiko.BadHostKeyException(self.host, self.host_key, self.host_key)  # type: ignore[arg-type]
        self._send_all()

    def _request(self, message: Message) -> None:
        message.get_int()
        if message.get_text() == "exit-status":
            message.get_boolean()
            self.code = message.get_int()

    def _send(self, kind: int, *fields: str | bytes | int | bool) -> None:
        self._send_message(_message(kind, *fields))  # type: ignore[attr-defined]

    def _send_all(self) -> None:
        """Send service, authentication, channel, command and end of input."""
        login = ("root", "ssh-connection", "publickey", True, "ssh-ed25519", self.key.asbytes())
        signed = Message()
        signed.add_string(self.session_id)  # type: ignore[arg-type]
        signature = self.key.sign_ssh_data(signed.asbytes() + _message(50, *login).asbytes()).asbytes()
        self._send(5, "ssh-userauth")
        self._send(50, *login, signature)
        self._send(90, "session", 0, 1 << 21, 1 << 15)
        self._send(98, 0, "exec", True, self.command)
        self._send(96, 0)


def _message(kind: int, *fields: str | bytes | int | bool) -> Message:
    made = Message()
    made.add_byte(bytes([kind]))
    for field in fields:
        if isinstance(field, bool):
            made.add_boolean(field)
        elif isinstance(field, int):
            made.add_int(field)
        else:
            made.add_string(field)
    return made


def run(hosts: list[str]) -> Iterator[Session]:
    """Run the script on all hosts, a bounded number at a time, and yield each session when it is done."""
    selector, waiting, running = selectors.EpollSelector(), hosts[::-1], 0
    script = site.script().replace("'", "'\\''")
    key, known = Ed25519Key(filename=str(site.KEY)), site.known_hosts()
    end = time.monotonic() + SECONDS
    while (waiting or running) and time.monotonic() < end:
        while waiting and running < site.FORKS:
            host = waiting.pop()
            Session(host, f"exec sh -c '{script}'", key, known[host], selector)
            running += 1
        for entry, events in selector.select(SECONDS):
            entry.data.handle_events(events)
            if entry.data.done:
                running -= 1
                yield entry.data


def main() -> int:
    """Run the script on all hosts; return the number of hosts where something failed."""
    hosts = site.hosts()
    greeter.join()
    good = 0
    for session in run(hosts):
        if session.error:
            print(session.host, repr(session.error), file=sys.stderr)
        good += not session.error and site.report(session.host, b"".join(session.out).decode(), session.code)
    return len(hosts) - good


if __name__ == "__main__":
    sys.exit(min(main(), os.EX_SOFTWARE))
