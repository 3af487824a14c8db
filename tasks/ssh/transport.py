"""Run paramiko's protocol engine without a thread: the caller reads the socket until its answer is there.

paramiko starts a thread and a timer for each connection, polls ten times a second, and waits for an answer after each
step of a login. Here the worker thread of a host reads the socket itself, messages that need no answer first are sent
together, and each wait ends at the deadline. Measurements: docs/decisions/0004.
"""

from __future__ import annotations

import contextlib
import copy
import select
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import Any

import paramiko
from paramiko import AuthenticationException, BadAuthenticationType, Message, SSHException
from paramiko import common as ssh
from paramiko.packet import NeedRekeyException
from paramiko.ssh_exception import MessageOrderError

from tasks.ssh.deadline import Deadline
from tasks.ssh.message import CheckedMessage

# OpenSSH's defaults without chacha20 and umac, which paramiko does not have. GCM comes first: it needs no separate
# checksum, which saves 10 % of a connection's CPU. paramiko prefers CTR, and also accepts CBC, 3DES and MD5.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
CHECKSUMS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
KEEPALIVE_SECONDS = 15
KEX_MESSAGES = range(30, 42)  # their meaning depends on the negotiated key exchange
LARGEST_MESSAGE = 256 * 1024 + 64  # bytes: OpenSSH's limit plus a checksum
REFUSALS = (b"Exceeded MaxStartups", b"Not allowed at this time")  # sshd's text when it closes at once
CHUNK_SIZE = 32 * 1024 - 64  # bytes of data in one message: paramiko's own size for a peer with 32 kB packets
# Bytes a read. Buffers of 64 kB, allocated and freed with each read, left holes of 10 to 20 MB in a process's heaps.
READ_SIZE = 8 * 1024
LARGEST_WINDOW = 2**32 - 1  # bytes (RFC 4254, 5.2)
MAX_HELD = 1000  # answers that may wait for the end of a key exchange
MAX_PIPELINED = 512 * 1024  # bytes sent before the window is known: a quarter of the window that OpenSSH opens


class DeadlineExceededError(Exception):
    """The deadline passed during a wait. Not an OSError: paramiko continues after a socket timeout."""


class ClosedError(SSHException):
    """The server ended the connection and gave a reason."""


class DeadlineSocket:
    """A buffered socket for paramiko: it writes before a wait, reads in large pieces, and stops at the deadline.

    There is one write for all messages up to the next wait, and one read for many messages. paramiko itself reads each
    header and each body on its own, which costs 8 % of a connection's CPU.
    """

    _closed = False  # read by paramiko

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self.deadline = deadline
        self._sock = sock
        self._in, self._out = bytearray(), bytearray()

    @property
    def buffered(self) -> int:
        """Return the number of bytes that were read from the socket and not yet consumed."""
        return len(self._in)

    def readable(self) -> bool:
        """Return True if there is something to read, or the end of the stream."""
        return bool(self._in) or _is_readable(self._sock)

    def send(self, data: bytes) -> int:
        """Accept all of the data; it is written before the next wait."""
        self._out += data
        return len(data)

    def recv(self, size: int) -> bytes:
        """Return up to size bytes, none at the end of the stream. Raise TimeoutError when a keepalive is due."""
        if size > LARGEST_MESSAGE:
            raise SSHException(f"the server announced a message of {size} bytes")
        if not self._in:
            self.flush()
            self._in += self._wait()
        piece = bytes(self._in[:size])
        del self._in[:size]
        return piece

    def skip_greeting(self) -> None:
        """Discard the lines that a server may send before its version (RFC 4253, 4.2), up to OpenSSH's limit of 1024.

        Raise SSHException if the peer is not an SSH server, EOFError with its last line if it closes.
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
            raise SSHException(f"not an SSH server: it sent {_as_text(line)}")

    def _ended(self, line: bytes) -> bytes:
        """Raise EOFError for a stream that ended, SSHException if its text is not one of sshd's refusals."""
        text = bytes(self._in) or line
        if text and not text.startswith(REFUSALS):
            raise SSHException(f"not an SSH server: it sent {_as_text(text)}")
        raise EOFError(_as_text(text))

    def flush(self) -> None:
        """Write all pending data to the socket. Raise DeadlineExceededError if it is not accepted in time."""
        if self._out:
            data, self._out = self._out, bytearray()
            self._sock.settimeout(self.deadline.remaining())
            try:
                self._sock.sendall(data)
            except TimeoutError as error:
                raise DeadlineExceededError from error

    def _wait(self) -> bytes:
        if self.deadline.passed:  # checked here as well, since a peer may always have data to read
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
        """Ignore paramiko's own time limits."""

    def close(self) -> None:
        """Close the socket."""
        self._closed = True
        self._sock.close()


def _is_readable(sock: Any) -> bool:
    """Return True if a read would not wait. A tunnel has no descriptor of its own."""
    if isinstance(sock, Tunnel):
        return sock.readable()
    poll = select.poll()  # select() takes no descriptor above 1023
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _as_text(line: bytes) -> str:
    """Return the first 80 bytes of a peer's line as text."""
    return line[:80].decode("utf-8", "replace").strip()


def order_key_exchanges(names: Sequence[str]) -> tuple[str, ...]:
    """Return paramiko's key exchanges without SHA-1, and with P-256 before X25519.

    The post-quantum exchanges that paramiko prefers to both stay first. sshd computes X25519 with portable code and
    P-256 with OpenSSL's: 1.6 and 0.4 ms of a node's CPU (OpenSSH 9.2).
    """
    kept = [name for name in names if "sha1" not in name]
    place = next(at for at, name in enumerate(kept) if name == _P256 or name.startswith("curve25519"))
    return (*kept[:place], _P256, *(name for name in kept[place:] if name != _P256))


_P256 = "ecdh-sha2-nistp256"
_Engine: Any = paramiko.Transport  # the stubs lack members that a subclass needs
_Handler: Any = paramiko.auth_handler.AuthHandler
_Channel: Any = paramiko.Channel


class Channel(_Channel):  # type: ignore[misc]
    """A channel that counts the bytes that the server may still send, as OpenSSH's client does."""

    _receivable = 0

    def _set_window(self, window_size: int, max_packet_size: int) -> None:
        super()._set_window(window_size, max_packet_size)
        self._receivable = window_size

    def _check_add_window(self, n: int) -> int:
        added: int = super()._check_add_window(n)
        self._receivable += added
        return added

    def check_window(self, size: int) -> None:
        """Count size bytes of incoming data. Raise SSHException if the window does not allow them."""
        self._receivable -= size
        if self._receivable < 0:
            raise SSHException("the server sent more data than the channel's window allows")


class Transport(_Engine):  # type: ignore[misc]
    """A connection to one SSH server. It is never started as the thread that paramiko makes of it.

    handshake_timeout: seconds for the key exchange. request: a command and the beginning of its stdin. An OpenSSH
    server gets both in the same flight as the first key of the login: it handles messages strictly in order, numbers
    channels from 0, opens a window of 2 MB as soon as it has read the command, and answers UNIMPLEMENTED to all of
    these messages if it refuses the key (dispatch_protocol_error in its dispatch.c). Other servers get one step at a
    time. host_key_algorithms: what to accept, the preferred first; () for all.
    """

    _preferred_ciphers, _preferred_macs = CIPHERS, CHECKSUMS
    _preferred_kex = order_key_exchanges(_Engine._preferred_kex)

    def __init__(
        self,
        stream: DeadlineSocket,
        handshake_timeout: float,
        request: tuple[str, bytes] | None = None,
        host_key_algorithms: Sequence[str] = (),
    ) -> None:
        self.greeted: Callable[[], None] | None = None  # called once, when the server has sent its version
        self._login: Any = None
        self._host_key_algorithms = tuple(host_key_algorithms)
        self._expected_packet: tuple[int, ...] = ()
        super().__init__(stream)
        self.stream, self._handshake_timeout = stream, handshake_timeout
        self._request = request or ("", b"")
        self._early: paramiko.Channel | None = None  # the channel of a request that was sent with the login
        self._granted = False  # the server accepted the login that this request was sent with
        self._unasked = 0  # bytes of its stdin, sent before the server announced its window
        self._accepts = 0  # SERVICE_ACCEPT messages that are still to come and need no reaction
        self._over: Exception | None = None  # the error that ended the connection
        self._handling = False  # a message is being handled
        self._held: list[Message] = []  # answers that wait for the end of a key exchange

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Return the host key algorithms to offer."""
        every: tuple[str, ...] = super().preferred_keys
        return self._host_key_algorithms or every

    # ---- reading ----

    @property
    def broken(self) -> bool:
        """Tell if the connection has ended."""
        return self._over is not None

    def read_until(self, done: Callable[[], Any]) -> None:
        """Handle messages until done() is true. Raise the error that ended the connection, on each further call too."""
        while not done():
            if self._over:
                raise self._over
            self._take()

    def answer_pending(self) -> None:
        """Act on the messages that are here, and send the answers, without waiting for more."""
        self.read_until(lambda: not self.stream.readable())
        self.stream.flush()

    def _take(self) -> None:
        """Handle one message, and keep the error that ends the connection."""
        try:
            self._handle_next()
        except (DeadlineExceededError, SSHException, EOFError, OSError) as error:
            self._over = error
            raise
        except Exception as error:  # paramiko does not check all that it parses, such as the encoding of a text
            self._over = SSHException(f"the server sent a malformed message ({type(error).__name__}: {error})")
            raise self._over from error

    def _handle_next(self) -> None:
        """Read and handle one message, with each check of the loop in paramiko's Transport.run.

        tests/unit/ssh/test_transport.py fails when that loop changes.
        """
        if self.packetizer.need_rekey() and not self.in_kex:
            self._send_kex_init()
        try:
            kind, message = self.packetizer.read_message()
        except NeedRekeyException:  # no message arrived, and new keys are due
            return
        checked = CheckedMessage(message.asbytes())
        checked.seqno = message.seqno
        outer, self._handling = self._handling, True
        try:
            self._handle(kind, checked)
        finally:
            self._handling = outer

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
            self._for_channel(kind, message)
        elif self._login and kind in (login := self._login._handler_table):
            login[kind](message)
        elif kind != ssh.MSG_UNIMPLEMENTED:
            self._send(ssh.MSG_UNIMPLEMENTED, message.seqno)

    def _for_channel(self, kind: int, message: Message) -> None:
        """Handle a message for a channel. Raise SSHException before the login, and for a channel that is not open."""
        number = message.get_int()
        channel: Any = self._channels.get(number)
        if channel is None and number in self.channels_seen:  # closed by now
            return
        if not (channel and channel.active and self.is_authenticated()):
            raise SSHException(f"the server sent message {kind} for channel {number}, which is not open")
        if kind in (ssh.MSG_CHANNEL_DATA, ssh.MSG_CHANNEL_EXTENDED_DATA):
            channel.check_window(_data_size(kind, message))
        self._channel_handler_table[kind](channel, message)
        if channel.out_window_size > LARGEST_WINDOW:
            raise SSHException("the server opened a window of more than 4 GiB")

    def _parse_channel_open_success(self, message: Message) -> None:
        channel: Any = self._channels.get(CheckedMessage(message.asbytes()[:4]).get_int())
        if not (channel and self.is_authenticated()) or channel.active:
            raise SSHException("the server opened a channel that was not asked for")
        super()._parse_channel_open_success(message)
        if self._early and self._early.active and self._early.remote_chanid != 0:
            raise SSHException(f"expected the number 0 for the first channel, got {self._early.remote_chanid}")

    def _parse_channel_open_failure(self, message: Message) -> None:
        if not self.is_authenticated():
            raise SSHException("the server refused a channel before it answered the login")
        super()._parse_channel_open_failure(message)
        raise self.get_exception() or SSHException("the server refused a channel")

    # ---- writing ----

    def _send(self, kind: int, *fields: bool | int | str | bytes) -> None:
        """Send one message of these fields."""
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
        """Send a message of one of paramiko's channels, after any key exchange under way.

        The answer to a message that is being handled waits in a list: reading on for it would nest a call in a call for
        each message of a server that sends requests in the middle of a key exchange.
        """
        if self._handling and not self.clear_to_send.is_set():
            self._held.append(data)
            if len(self._held) > MAX_HELD:
                raise SSHException(f"the server sent more than {MAX_HELD} requests during a key exchange")
            return
        self.read_until(self.clear_to_send.is_set)
        self._send_message(data)

    def _parse_newkeys(self, message: Message) -> None:
        super()._parse_newkeys(message)
        held, self._held = self._held, []
        for data in held:
            self._send_user_message(data)

    # ---- the handshake and the login ----

    def start_client(self, event: Event | None = None, timeout: float | None = None) -> None:
        """Exchange versions and keys. Raise EOFError or OSError if the server closes before that is done."""
        del event, timeout
        self.active = True
        with self.stream.deadline.within(self._handshake_timeout):
            self._shake_hands()
        self.set_keepalive(KEEPALIVE_SECONDS)

    def _shake_hands(self) -> None:
        self.packetizer.write_all(f"{self.local_version}\r\n".encode())
        self.stream.skip_greeting()
        if greeted := self.greeted:
            self.greeted = None
            greeted()
        self._check_banner()
        self._send_kex_init()
        self._expect_packet(ssh.MSG_KEXINIT)
        self.read_until(lambda: self.initial_kex_done)

    def close(self) -> None:
        """Close the connection, even one never opened; never raise.

        References back to it are dropped here. Left as a cycle with its ciphers and buffers, 121 of 400 closed
        connections still waited for the garbage collector.
        """
        self.active = False
        self._login = self._early = self.greeted = None
        self._handler_table.clear()
        with contextlib.suppress(Exception):
            self.stream.close()

    @property
    def auth_handler(self) -> Any:
        """Return paramiko's state of the login, an AuthHandler. Each key gets a new one."""
        return self._login

    @auth_handler.setter
    def auth_handler(self, handler: Any) -> None:
        self._login = handler
        if handler:
            handler.wait_for_response = partial(self._answer, weakref.ref(handler))

    def _answer(self, login: Callable[[], Any], event: Event) -> list[str]:
        """Return the methods that the server still wants; AuthHandler.wait_for_response, reading instead of sleeping.

        login: a weak reference to the handler, because the handler holds this function.
        """
        handler = login()
        pipelined = self._pipeline_login(handler)
        self.read_until(event.is_set)
        wanted: list[str] = _Handler.wait_for_response(handler, event)  # raises the server's refusal
        self._granted = pipelined and not wanted
        return wanted

    def _pipeline_login(self, handler: Any) -> bool:
        """Send the login without waiting for SERVICE_ACCEPT. Tell if the request was sent with it."""
        if handler.auth_method != "publickey" or not self.remote_version.startswith("SSH-2.0-OpenSSH_"):
            return False
        while self.stream.buffered:
            self._take()  # EXT_INFO may be buffered: it lists the signatures of RSA keys that the server accepts
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

    def auth_publickey(self, username: str, key: Any, event: Event | None = None) -> list[str]:
        """Log in with a key, and if it has a certificate that is refused, such as an expired one, with the bare key."""
        try:
            return super().auth_publickey(username, key, event)  # type: ignore[no-any-return]
        except BadAuthenticationType:
            raise
        except AuthenticationException:
            if getattr(key, "public_blob", None) is None or isinstance(key, paramiko.AgentKey):
                raise
        bare = copy.copy(key)
        bare.public_blob = None
        return super().auth_publickey(username, bare, event)  # type: ignore[no-any-return]

    def auth_interactive_dumb(self, username: str, handler: Any = None, submethods: str = "") -> list[str]:
        """Raise AuthenticationException: paramiko would prompt on the terminal for each host of a fleet at once."""
        raise AuthenticationException("the server asks for more than a key")

    # ---- channels ----

    def _open(self, kind: str, *fields: str | int) -> paramiko.Channel:
        """Send the request for a channel, without waiting for the answer. stderr is merged into stdout."""
        channel: Any = Channel(self._next_channel())
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
        """Send the request to the server's channel of that number, before its window is known."""
        command, data = self._request
        self._send(ssh.MSG_CHANNEL_REQUEST, number, "exec", True, command)
        for start in range(0, len(data), CHUNK_SIZE):
            self._send(ssh.MSG_CHANNEL_DATA, number, data[start : start + CHUNK_SIZE])
        self._unasked = len(data)

    def shell(self) -> paramiko.Channel:
        """Return the channel in which the request runs. To be called once, after the login."""
        if self._granted and self._early:
            return self._early
        channel = self._open("session")
        self.read_until(lambda: channel.active)  # ends with an error if the server refuses or closes it
        command, data = self._request
        self._send(ssh.MSG_CHANNEL_REQUEST, channel.remote_chanid, "exec", True, command)
        self._unasked = 0
        self.send(channel, data)
        return channel

    def tunnel(self, host: str, port: int) -> Tunnel:
        """Return a connection from this server to another. Raise ChannelException if it cannot be made."""
        channel = self._open("direct-tcpip", host, port, "", 0)
        self.read_until(lambda: channel.active)
        return Tunnel(self, channel)

    def send(self, channel: Any, data: bytes) -> None:
        """Send data to a channel, waiting for its window to open. Raise OSError if it is closed."""
        left = memoryview(data)
        while left:
            self.read_until(lambda: channel.out_window_size > self._unasked or channel.closed)
            if not channel.closed:
                channel.out_window_size -= self._unasked
                self._unasked = 0
            left = left[channel.send(left[:CHUNK_SIZE]) :]


def _data_size(kind: int, message: Message) -> int:
    """Return the size of the data that follows a channel's number in CHANNEL_DATA and CHANNEL_EXTENDED_DATA."""
    start = message.packet.tell()
    if kind == ssh.MSG_CHANNEL_EXTENDED_DATA:
        message.get_int()
    size = message.get_int()
    message.packet.seek(start)
    return size


class Tunnel:
    """A channel through a jump host, as the socket of the next transport; the jump host's has the deadline."""

    def __init__(self, transport: Transport, channel: paramiko.Channel) -> None:
        self._transport, self._channel = transport, channel

    def recv(self, size: int) -> bytes:
        """Return up to size bytes, none at the end of the stream."""
        channel: Any = self._channel
        self._transport.read_until(lambda: channel.recv_ready() or channel.eof_received or channel.closed)
        return channel.recv(size) if channel.recv_ready() else b""

    def readable(self) -> bool:
        """Return True if there is something to read, or the end, once what the jump host has sent is taken."""
        channel: Any = self._channel
        self._transport.answer_pending()
        return bool(channel.recv_ready() or channel.eof_received or channel.closed)

    def sendall(self, data: bytes) -> None:
        """Send all of the data."""
        self._transport.send(self._channel, bytes(data))

    def settimeout(self, _: float | None) -> None:
        """Do nothing: the jump host's transport has the deadline."""

    def close(self) -> None:
        """Do nothing: the channel ends with the jump host's transport."""
