"""paramiko's server side, for tests of the client side without sshd."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any, ClassVar

import paramiko
from paramiko import Message

from tasks.ssh.deadline import Deadline
from tasks.ssh.transport import DeadlineSocket

HOST_KEY = paramiko.ECDSAKey.generate()
KEY, OTHER = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
SECONDS = 10.0
ParamikoServer: Any = paramiko.Transport


class Server(ParamikoServer):  # type: ignore[misc]
    """paramiko's server side. Tests add the messages that a server should not send."""

    def __init__(self, sock: socket.socket, version: str) -> None:
        super().__init__(sock)
        self.local_version = version
        self.add_server_key(HOST_KEY)


class Rules(paramiko.ServerInterface):
    """Accept KEY, or the password "right"; record the commands and the passwords that were offered."""

    def __init__(self, *, methods: str = "publickey", second: str = "", session: bool = True, command: bool = True):
        self.methods, self.second, self.session, self.command = methods, second, session, command
        self.ran: list[str] = []
        self.passwords: list[str] = []

    def get_allowed_auths(self, username: str) -> str:
        return self.methods

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if key != KEY:
            return paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return]
        if self.second:
            self.methods = self.second
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]
        return paramiko.AUTH_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]

    def check_auth_password(self, username: str, password: str) -> int:
        self.passwords.append(password)
        return paramiko.AUTH_SUCCESSFUL if password == "right" else paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return]

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self.session:
            return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED  # type: ignore[attr-defined,no-any-return]

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.ran.append(command.decode())
        return self.command


def _echo(server: Any) -> None:
    """Send back the data of each channel, until the connection ends."""
    with contextlib.suppress(OSError, EOFError):
        while server.is_active():
            channel = server.accept(0.05)
            while channel and (data := channel.recv(65536)):
                channel.sendall(data)


@contextlib.contextmanager
def running(sock: socket.socket, rules: Rules, kind: type[Server], version: str) -> Iterator[None]:
    """Run an echoing server on a connected socket."""
    server = kind(sock, version)
    thread = Thread(target=_echo, args=[server])
    try:
        server.start_server(Event(), rules)
        thread.start()
        yield
    finally:
        server.close()
        thread.join(SECONDS)
        server.join(SECONDS)


@contextlib.contextmanager
def serving(
    rules: Rules, kind: type[Server] = Server, version: str = "SSH-2.0-OpenSSH_9.2p1"
) -> Iterator[DeadlineSocket]:
    """Yield our end of a stream with an echoing server on the other."""
    ours, theirs = socket.socketpair()
    with running(theirs, rules, kind, version), contextlib.closing(ours):
        yield DeadlineSocket(ours, Deadline(SECONDS))


@contextlib.contextmanager
def listening(
    rules: Rules, kind: type[Server] = Server, version: str = "SSH-2.0-OpenSSH_9.2p1"
) -> Iterator[tuple[str, int]]:
    """Yield the address of an echoing server that accepts one connection after the other."""
    with contextlib.ExitStack() as connections, socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.enter_context(running(listener.accept()[0], rules, kind, version))

        thread = Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)


class Interjecting(Server):
    """A server that sends messages of a test at one moment of a connection, once.

    moment: "keys" (after the first NEWKEYS), "login" (before it answers a login), "success" (after it accepted one),
    or "command" (after it started a command).
    """

    moment = "keys"
    messages: tuple[bytes, ...] = ()
    # paramiko closes a channel when its peer refuses a request on it; the messages of a test may be such requests.
    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **ParamikoServer._channel_handler_table,
        paramiko.common.MSG_CHANNEL_FAILURE: lambda channel, message: None,
    }

    def interject(self, moment: str) -> None:
        """Send the messages if this is their moment."""
        if moment == self.moment:
            self.moment = ""
            for message in self.messages:
                self._send_message(Message(message))

    def start_server(self, event: Event | None = None, server: Any = None) -> None:
        for name in ("check_auth_publickey", "check_auth_interactive"):
            setattr(server, name, self._with("login", getattr(server, name)))
        server.check_channel_exec_request = self._with("command", server.check_channel_exec_request, after=True)
        super().start_server(event, server)

    def _with(self, moment: str, answer: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        """Return the answer to a request with the messages before or after it."""

        def answered(*given: Any) -> Any:
            if not after:
                self.interject(moment)
            found = answer(*given)
            if after:
                self.interject(moment)
            return found

        return answered

    def _parse_newkeys(self, m: Message) -> None:
        super()._parse_newkeys(m)
        self.interject("keys")

    def _auth_trigger(self) -> None:
        super()._auth_trigger()
        self.interject("success")


def interjecting(moment: str, *messages: bytes) -> type[Interjecting]:
    """Return a server that sends these messages, each with its type as first byte."""
    return type("Interjecting", (Interjecting,), {"moment": moment, "messages": messages})
