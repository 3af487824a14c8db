"""paramiko's protocol engine without a thread: whoever waits for something reads until it is there.

paramiko starts a thread and a timer for each connection, polls ten times a second, and waits for an answer after each
step of a login. Here the worker that serves a host reads its socket itself, everything that need not wait goes out
together, and each wait ends at the deadline. What that gains: docs/decisions/0004.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import Any

import paramiko
from paramiko import AuthenticationException, Message, SSHException
from paramiko import common as ssh
from paramiko.packet import NeedRekeyException
from paramiko.ssh_exception import MessageOrderError

from tasks.ssh.deadline import Deadline

# OpenSSH's own defaults, but for chacha20 and umac, which paramiko has not. The order is ours: GCM needs no checksum of
# its own, which saves 10 % of a connection's CPU. paramiko would prefer CTR, and take CBC, 3DES and MD5, too.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
CHECKSUMS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
KEEPALIVE_SECONDS = 15
KEX_MESSAGES = range(30, 42)  # their meaning depends on the key exchange that was agreed on
LARGEST_MESSAGE = 256 * 1024 + 64  # bytes; OpenSSH's limit, and a checksum
REFUSALS = (b"Exceeded MaxStartups", b"Not allowed at this time")  # sshd's words when it closes at once
CHUNK_SIZE = 32 * 1024 - 64  # bytes of data in one message, as paramiko cuts them for a peer that takes 32 kB
READ_SIZE = (
    8 * 1024
)  # bytes; room for 64 kB in each read, and given back, left holes of 10 to 20 MB in a process's heaps
MAX_PIPELINED = 512 * 1024  # bytes that may be sent unasked: a quarter of the window that OpenSSH opens


class DeadlineExceededError(Exception):
    """The deadline passed during a wait. No OSError: paramiko takes a timeout for a reason to go on."""


class ClosedError(SSHException):
    """The other side ended the connection, and said why."""


class DeadlineSocket:
    """What paramiko takes for its socket: written when somebody waits, read in large pieces, never past the deadline.

    One write for everything up to the next wait, and one read for many messages, for paramiko asks for a header and a
    body at a time: 8 % of a connection's CPU.
    """

    _closed = False  # paramiko looks at it

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self.deadline = deadline
        self._sock = sock
        self._in, self._out = bytearray(), bytearray()

    @property
    def buffered(self) -> int:
        """Bytes that were read from the socket and not yet taken."""
        return len(self._in)

    def send(self, data: bytes) -> int:
        """Takes it all; it goes out before the next wait."""
        self._out += data
        return len(data)

    def recv(self, size: int) -> bytes:
        """Up to size bytes; none at the end of the stream. Raises TimeoutError when it is time for a keepalive."""
        if size > LARGEST_MESSAGE:
            raise SSHException(f"it announces a message of {size} bytes")
        if not self._in:
            self.flush()
            self._in += self._wait()
        piece = bytes(self._in[:size])
        del self._in[:size]
        return piece

    def skip_greeting(self) -> None:
        """Passes over the lines that a server may send before its version (RFC 4253, 4.2), as many as OpenSSH does.

        Raises SSHException if it is something else that speaks, EOFError with its last words if it closes.
        """
        self.flush()
        line = b""
        for _ in range(1024):
            while (end := self._in.find(b"\n")) < 0 and len(self._in) <= 8192:
                with contextlib.suppress(TimeoutError):
                    self._in += self._wait() or self._ended(line)
            line = bytes(self._in[:end])
            if line.startswith(b"SSH-") or end < 0:
                break
            del self._in[: end + 1]
        if not line.startswith(b"SSH-"):
            raise SSHException(f"no SSH server: it says {_as_text(line)}")

    def _ended(self, line: bytes) -> bytes:
        said = bytes(self._in) or line
        if said and not said.startswith(REFUSALS):
            raise SSHException(f"no SSH server: it says {_as_text(said)}")
        raise EOFError(_as_text(said))

    def flush(self) -> None:
        """Sends what was written so far."""
        if self._out:
            data, self._out = self._out, bytearray()
            self._sock.settimeout(self.deadline.remaining())
            try:
                self._sock.sendall(data)
            except TimeoutError as error:
                raise DeadlineExceededError from error

    def _wait(self) -> bytes:
        if self.deadline.passed:  # also where there is always something to read
            raise DeadlineExceededError
        self._sock.settimeout(min(KEEPALIVE_SECONDS, self.deadline.remaining()))
        try:
            data: bytes = self._sock.recv(READ_SIZE)
        except TimeoutError as error:
            if self.deadline.passed:
                raise DeadlineExceededError from error
            raise
        return data

    def settimeout(self, _: float | None) -> None:
        """paramiko's own limits do not count."""

    def close(self) -> None:
        """Closes the socket."""
        self._closed = True
        self._sock.close()


def _as_text(line: bytes) -> str:
    """What a stranger said, in short."""
    return line[:80].decode("utf-8", "replace").strip()


def exchanges(names: Sequence[str]) -> tuple[str, ...]:
    """paramiko's key exchanges, none with SHA-1, and P-256 before X25519. What paramiko prefers to both stays first,
    as it withstands quantum computers. sshd computes X25519 with portable code, P-256 with OpenSSL's: 1.6 and 0.4 ms of
    a node's CPU (OpenSSH 9.2).
    """
    kept = [name for name in names if "sha1" not in name]
    place = next(at for at, name in enumerate(kept) if name == _QUICK or name.startswith("curve25519"))
    return (*kept[:place], _QUICK, *(name for name in kept[place:] if name != _QUICK))


_QUICK = "ecdh-sha2-nistp256"
_Engine: Any = paramiko.Transport  # its stubs leave out what a subclass needs
_Handler: Any = paramiko.auth_handler.AuthHandler


class Transport(_Engine):  # type: ignore[misc]
    """A connection to one SSH server; see the module. Never started as the thread that paramiko makes of it.

    patience: seconds for the key exchange. request: a command and the beginning of its stdin. They are sent in the same
    flight as the first key of the login if the server is OpenSSH: it handles messages strictly in order, numbers
    channels from 0, has a window of 2 MB open as soon as it has read the command, and answers UNIMPLEMENTED to all of
    it when the key was refused (dispatch_protocol_error in its dispatch.c). Other servers are asked step by step.
    """

    _preferred_ciphers, _preferred_macs = CIPHERS, CHECKSUMS
    _preferred_kex = exchanges(_Engine._preferred_kex)

    def __init__(
        self, stream: DeadlineSocket, handshake_timeout: float, request: tuple[str, bytes] | None = None, **options: Any
    ) -> None:
        self._login: Any = None
        self._expected_packet: tuple[int, ...] = ()
        super().__init__(stream, **options)
        self.stream, self._handshake_timeout = stream, handshake_timeout
        self._request = request or ("", b"")
        self._early: paramiko.Channel | None = None  # the channel of a request that was sent with the login
        self._granted = False  # whether the server has taken it
        self._unasked = 0  # its bytes, sent before the server told its window
        self._accepts = 0  # answers of the login service that nobody waited for
        self._over: Exception | None = None

    # ---- reading ----

    @property
    def broken(self) -> bool:
        """Whether nothing more can come."""
        return self._over is not None

    def read_until(self, done: Callable[[], Any]) -> None:
        """Takes messages until it is done. Raises what ended the connection, again if it is asked again."""
        while not done():
            if self._over:
                raise self._over
            try:
                self._take()
            except Exception as error:
                self._over = error
                raise

    def _take(self) -> None:
        """Reads one message and acts on it: the loop of paramiko's Transport.run, check for check.

        tests/unit/ssh/test_transport.py notices when that loop changes.
        """
        if self.packetizer.need_rekey() and not self.in_kex:
            self._send_kex_init()
        try:
            kind, message = self.packetizer.read_message()
        except NeedRekeyException:  # nothing came, and it is time for new keys
            return
        self._handle(kind, message)

    def _handle(self, kind: int, message: Message) -> None:
        if kind in (ssh.MSG_IGNORE, ssh.MSG_DEBUG):
            self._enforce_strict_kex(kind)
            return
        if kind == ssh.MSG_DISCONNECT:
            message.get_int()
            raise ClosedError(message.get_text())
        expected, self._expected_packet = self._expected_packet, ()
        if expected and kind not in expected:
            raise (MessageOrderError if self.agreed_on_strict_kex else SSHException)(
                f"expected one of the messages {expected}, got {kind}"
            )
        if expected and kind in KEX_MESSAGES:
            self.kex_engine.parse_next(kind, message)
        else:
            self._dispatch(kind, message)

    def _dispatch(self, kind: int, message: Message) -> None:
        if kind == ssh.MSG_SERVICE_ACCEPT and self._accepts:
            self._accepts -= 1
        elif kind in self._handler_table:
            self._handler_table[kind](message)
        elif kind in self._channel_handler_table:
            self._for_channel(message.get_int(), self._channel_handler_table[kind], message)
        elif self._login and kind in (login := self._login._handler_table):
            login[kind](message)
        elif kind != ssh.MSG_UNIMPLEMENTED:
            self._send(ssh.MSG_UNIMPLEMENTED, message.seqno)

    def _for_channel(self, number: int, handler: Callable[..., None], message: Message) -> None:
        if channel := self._channels.get(number):
            handler(channel, message)
        elif number not in self.channels_seen:
            raise SSHException(f"a message for channel {number}, which is not there")

    def _parse_channel_open_success(self, message: Message) -> None:
        super()._parse_channel_open_success(message)
        if self._early and self._early.active and self._early.remote_chanid != 0:
            raise SSHException(
                f"the first channel has the number {self._early.remote_chanid}, which OpenSSH's never has"
            )

    def _parse_channel_open_failure(self, message: Message) -> None:
        super()._parse_channel_open_failure(message)
        raise self.get_exception() or SSHException("no channel")

    # ---- writing ----

    def _send(self, kind: int, *fields: bool | int | str | bytes) -> None:
        """One message."""
        message = Message()
        message.add_byte(bytes([kind]))
        for field in fields:
            if isinstance(field, bool):
                message.add_boolean(field)
            elif isinstance(field, int):
                message.add_int(field)
            else:
                message.add_string(field)
        self._send_message(message)

    def _send_user_message(self, data: Message) -> None:
        """What paramiko's channels send; not in the middle of a change of keys."""
        self.read_until(self.clear_to_send.is_set)
        self._send_message(data)

    # ---- the handshake and the login ----

    def start_client(self, event: Event | None = None, timeout: float | None = None) -> None:
        """Greetings and the key exchange. Raises EOFError or OSError if the server closes before it is done."""
        del event, timeout
        self.active = True
        with self.stream.deadline.within(self._handshake_timeout):
            self._shake_hands()
        self.set_keepalive(KEEPALIVE_SECONDS)

    def _shake_hands(self) -> None:
        self.packetizer.write_all(f"{self.local_version}\r\n".encode())
        self.stream.skip_greeting()
        self._check_banner()
        self._send_kex_init()
        self._expect_packet(ssh.MSG_KEXINIT)
        self.read_until(lambda: self.initial_kex_done)

    def close(self) -> None:
        """Ends the connection, also one that never came to be; never raises. It is then of no more use.

        What points back at it is let go: as a cycle it would stay, ciphers and buffers and all, until the garbage
        collector comes by, which it does the less often the more there is: 121 of 400 closed lines were still there.
        """
        self.active = False
        self._login = self._early = None
        self._handler_table.clear()
        with contextlib.suppress(Exception):
            self.stream.close()

    @property
    def auth_handler(self) -> Any:
        """paramiko's state of a login, an AuthHandler; a new one for each key."""
        return self._login

    @auth_handler.setter
    def auth_handler(self, handler: Any) -> None:
        self._login = handler
        if handler:
            handler.wait_for_response = partial(self._answer, weakref.ref(handler))

    def _answer(self, login: Callable[[], Any], event: Event) -> list[str]:
        """AuthHandler.wait_for_response, but reading instead of sleeping: what else the server wants, if anything.

        login: gives the handler, and does not hold it, because the handler holds this.
        """
        handler = login()
        hurried = self._pipeline_login(handler)
        self.read_until(event.is_set)
        wanted: list[str] = _Handler.wait_for_response(handler, event)  # raises what the server said
        self._granted = hurried and not wanted
        return wanted

    def _pipeline_login(self, handler: Any) -> bool:
        """Logs in without waiting for the service to be granted; whether the request went along."""
        if handler.auth_method != "publickey" or not self.remote_version.startswith("SSH-2.0-OpenSSH_"):
            return False
        while self.stream.buffered:
            self._take()  # EXT_INFO may be there: which signatures of an RSA key the server knows
        granted = Message()
        granted.add_string("ssh-userauth")
        handler._parse_service_accept(Message(granted.asbytes()))
        self._accepts += 1
        command, data = self._request
        if self._early or not command or len(data) > MAX_PIPELINED:
            return False
        self._early = self._open("session")
        self._run(0)
        return True

    def auth_interactive_dumb(self, username: str, handler: Any = None, submethods: str = "") -> list[str]:
        """Refused: paramiko would ask on the terminal, for each host of a fleet at once."""
        raise AuthenticationException("it asks for more than a key")

    # ---- channels ----

    def _open(self, kind: str, *fields: str | int) -> paramiko.Channel:
        """Asks for a channel; whether it is granted shows later. stderr comes with stdout."""
        channel: Any = paramiko.Channel(self._next_channel())
        self._channels.put(channel.chanid, channel)
        self.channels_seen[channel.chanid] = True
        channel._set_transport(self)
        channel._set_window(self.default_window_size, self.default_max_packet_size)
        channel.set_combine_stderr(True)
        self._send(
            ssh.MSG_CHANNEL_OPEN, kind, channel.chanid, self.default_window_size, self.default_max_packet_size, *fields
        )
        return channel  # type: ignore[no-any-return]

    def _run(self, number: int) -> None:
        """Sends the request to the server's channel of that number without asking how much it takes."""
        command, data = self._request
        self._send(ssh.MSG_CHANNEL_REQUEST, number, "exec", True, command)
        for start in range(0, len(data), CHUNK_SIZE):
            self._send(ssh.MSG_CHANNEL_DATA, number, data[start : start + CHUNK_SIZE])
        self._unasked = len(data)

    def shell(self) -> paramiko.Channel:
        """The channel in which the request runs. To be called once, after the login."""
        if self._granted and self._early:
            return self._early
        channel = self._open("session")
        self.read_until(lambda: channel.active)
        command, data = self._request
        self._send(ssh.MSG_CHANNEL_REQUEST, channel.remote_chanid, "exec", True, command)
        self._unasked = 0
        self.send(channel, data)
        return channel

    def tunnel(self, host: str, port: int) -> Tunnel:
        """A connection from this server to another. Raises ChannelException where it cannot be made."""
        channel = self._open("direct-tcpip", host, port, "", 0)
        self.read_until(lambda: channel.active)
        return Tunnel(self, channel)

    def send(self, channel: Any, data: bytes) -> None:
        """Sends to a channel as much as its window takes, and waits for it to open. Raises OSError if it is closed."""
        while data:
            self.read_until(lambda: channel.out_window_size > self._unasked or channel.closed)
            if not channel.closed:
                channel.out_window_size -= self._unasked
                self._unasked = 0
            data = data[channel.send(data) :]


class Tunnel:
    """A channel through a jump host, as the socket of the next line. The jump host's line has the deadline."""

    def __init__(self, line: Transport, channel: paramiko.Channel) -> None:
        self._line, self._channel = line, channel

    def recv(self, size: int) -> bytes:
        """Up to size bytes, none at the end."""
        channel: Any = self._channel
        self._line.read_until(lambda: channel.recv_ready() or channel.eof_received or channel.closed)
        return channel.recv(size) if channel.recv_ready() else b""

    def sendall(self, data: bytes) -> None:
        """Sends it all."""
        self._line.send(self._channel, bytes(data))

    def settimeout(self, _: float | None) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do: it ends with the line."""
