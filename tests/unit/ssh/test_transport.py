"""The messages that the engine accepts from a server, their order, and those it refuses."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import inspect
import socket
import struct
import time
import weakref
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import paramiko
import pytest
from paramiko import AuthenticationException, ChannelException, Message, SSHException
from paramiko.ssh_exception import MessageOrderError

from tasks.ssh.deadline import Deadline
from tasks.ssh.transport import (
    CHECKSUMS,
    CIPHERS,
    ClosedError,
    DeadlineExceededError,
    DeadlineSocket,
    Transport,
    order_key_exchanges,
)
from tests.support.ssh_server import KEY, OTHER, SECONDS, Rules, Server, interjecting, serving

REQUEST = ("a command", b"its stdin\n")


def test_paramikos_own_loop_is_still_the_one_that_ours_repeats() -> None:
    """If this fails: compare paramiko's Transport.run with our _take to _for_channel, then put its hash here."""
    source = inspect.getsource(paramiko.Transport.run)
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == "d658434778e57b94"


def connected(stream: DeadlineSocket) -> Any:
    transport = Transport(stream, SECONDS, REQUEST)
    transport.start_client()
    return transport


@contextlib.contextmanager
def watched(transport: Any) -> Iterator[list[object]]:
    """Yield the conditions that were waited for in the block."""
    waits: list[object] = []
    until = transport.read_until

    def wait(done: object) -> None:
        waits.append(done)
        until(done)

    transport.read_until = wait
    try:
        yield waits
    finally:
        transport.read_until = until


def read(transport: Transport, channel: Any, size: int) -> bytes:
    said = b""
    while len(said) < size:
        transport.read_until(lambda: channel.recv_ready() or channel.closed)
        piece = channel.recv(65536)
        assert piece, f"the channel was closed after {len(said)} of {size} bytes"
        said += piece
    return said


# ---- the way it should go ----


@pytest.mark.parametrize("version", ["SSH-2.0-OpenSSH_9.2p1", "SSH-2.0-dropbear_2022.83"])
def test_a_command_gets_its_stdin_from_servers_that_are_hurried_and_from_others(version: str) -> None:
    rules = Rules()
    with serving(rules, version=version) as stream:
        transport = connected(stream)
        transport.auth_publickey("admin", KEY)
        channel = transport.shell()
        assert read(transport, channel, len(REQUEST[1])) == REQUEST[1]
        transport.send(channel, b"more")
        assert read(transport, channel, 4) == b"more"
    assert rules.ran == [REQUEST[0]]


@pytest.mark.parametrize("version", ["SSH-2.0-OpenSSH_9.2p1", "SSH-2.0-dropbear_2022.83"])
def test_a_closed_line_is_gone_without_the_garbage_collector(version: str) -> None:
    gc.disable()
    try:
        with serving(Rules(), version=version) as stream:
            transport = connected(stream)
            transport.auth_publickey("admin", KEY)
            assert read(transport, transport.shell(), len(REQUEST[1])) == REQUEST[1]
            transport.close()
            closed = weakref.ref(transport)
            del transport
            assert closed() is None
    finally:
        gc.enable()


def test_a_server_that_is_hurried_has_the_command_before_it_answers_the_login() -> None:
    """Wait for nothing between the key exchange and the first answer of the command."""
    with serving(Rules()) as stream:
        transport = connected(stream)
        with watched(transport) as waits:
            transport.auth_publickey("admin", KEY)
            channel = transport.shell()
        assert len(waits) == 1
        assert read(transport, channel, len(REQUEST[1])) == REQUEST[1]


def test_the_first_key_is_refused_and_the_second_taken() -> None:
    rules = Rules()
    with serving(rules, version="SSH-2.0-other") as stream:
        transport = connected(stream)
        with pytest.raises(AuthenticationException):
            transport.auth_publickey("admin", OTHER)
        transport.auth_publickey("admin", KEY)
        assert read(transport, transport.shell(), len(REQUEST[1])) == REQUEST[1]
    assert rules.ran == [REQUEST[0]]


def test_a_key_and_a_password_where_both_are_wanted() -> None:
    with serving(Rules(second="password"), version="SSH-2.0-other") as stream:
        transport = connected(stream)
        assert transport.auth_publickey("admin", KEY) == ["password"]
        transport.auth_password("admin", "right")
        assert read(transport, transport.shell(), len(REQUEST[1])) == REQUEST[1]


def test_nobody_is_asked_on_the_terminal() -> None:
    with serving(Rules(second="keyboard-interactive"), version="SSH-2.0-other") as stream:
        transport = connected(stream)
        assert transport.auth_publickey("admin", KEY) == ["keyboard-interactive"]
        with pytest.raises(AuthenticationException, match="more than a key"):
            transport.auth_interactive_dumb("admin")


def test_new_keys_in_the_middle_lose_nothing() -> None:
    with serving(Rules()) as stream:
        transport = connected(stream)
        transport.auth_publickey("admin", KEY)
        channel = transport.shell()
        for _ in range(3):
            transport._send_kex_init()
            transport.send(channel, b"x" * 100_000)
            assert set(read(transport, channel, 100_000)) <= set(b"x" + REQUEST[1])


def test_more_than_a_window_is_sent_as_it_opens() -> None:
    size = 3 * 2**21
    with serving(Rules()) as stream:
        transport = connected(stream)
        transport.auth_publickey("admin", KEY)
        channel = transport.shell()
        got = bytearray()
        for _ in range(size // 2**16):
            transport.send(channel, bytes(2**16))
            got += read(transport, channel, 2**16)
        assert len(got) >= size


def test_ciphers_and_checksums_are_openssh_defaults_only() -> None:
    with serving(Rules()) as stream:
        transport = connected(stream)
        assert (transport.local_cipher, transport.remote_cipher) == (CIPHERS[0], CIPHERS[0])
        assert tuple(transport.preferred_ciphers) == CIPHERS
        assert tuple(transport.preferred_macs) == CHECKSUMS
        kex = list(transport.preferred_kex)
    assert not [name for name in kex if "sha1" in name]
    elliptic = [place for place, name in enumerate(kex) if not name.startswith("diffie-hellman")]
    assert max(elliptic) == len(elliptic) - 1  # 20 and 70 ms of CPU in Python's numbers: last, if ever


def test_p_256_is_asked_for_before_x25519_and_after_what_paramiko_prefers_to_both() -> None:
    old = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha1")
    assert order_key_exchanges(old) == ("ecdh-sha2-nistp256", "curve25519-sha256@libssh.org")
    assert order_key_exchanges(("mlkem768x25519-sha256", *old))[:2] == ("mlkem768x25519-sha256", "ecdh-sha2-nistp256")
    assert order_key_exchanges(("ecdh-sha2-nistp256", "ecdh-sha2-nistp384")) == (
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
    )


# ---- what is refused ----


def test_a_refused_channel_and_a_refused_command_are_told_apart() -> None:
    with serving(Rules(session=False)) as stream:
        transport = connected(stream)
        transport.auth_publickey("admin", KEY)
        with pytest.raises(ChannelException):
            transport.read_until(lambda: transport.shell().active)
    with serving(Rules(command=False)) as stream:
        transport = connected(stream)
        transport.auth_publickey("admin", KEY)
        channel: Any = transport.shell()
        transport.read_until(lambda: channel.closed)
        assert not transport.broken


class Talkative(Server):
    """A server that sends one more message between its KEXINIT and its new keys."""

    word = Message(b"")

    def _send_kex_init(self) -> None:
        super()._send_kex_init()
        self._send_message(self.word)


def word(kind: int, text: str = "") -> Message:
    message = Message()
    message.add_byte(bytes([kind]))
    message.add_string(text)
    return message


@pytest.mark.parametrize(
    ("kind", "what"), [(2, "ignore"), (4, "debug"), (52, "expected"), (90, "expected"), (94, "expected")]
)
def test_nothing_else_is_taken_before_the_new_keys(kind: int, what: str) -> None:
    """Strict key exchange (OpenSSH's PROTOCOL, 1.10), which was added against CVE-2023-48795."""
    said = type("Said", (Talkative,), {"word": word(kind)})
    with serving(Rules(), said) as stream, pytest.raises(MessageOrderError, match=what):
        connected(stream)


def test_a_server_that_says_goodbye_is_quoted_again_and_again() -> None:
    said = type("Said", (Talkative,), {"word": Message(b"\1\0\0\0\2" + b"\0\0\0\4gone" + b"\0\0\0\0")})
    with serving(Rules(), said) as stream:
        transport: Any = Transport(stream, SECONDS, REQUEST)
        for attempt in (transport.start_client, lambda: transport.read_until(lambda: False)):
            with pytest.raises(ClosedError, match="gone"):
                attempt()
        assert transport.broken


# ---- what a stranger may say in place of a server ----


@contextlib.contextmanager
def stranger(said: bytes, *, closes: bool = True, seconds: float = SECONDS) -> Iterator[DeadlineSocket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(said)
        if closes:
            theirs.shutdown(socket.SHUT_WR)
        yield DeadlineSocket(ours, Deadline(seconds))


@pytest.mark.parametrize(
    ("said", "error", "what"),
    [
        (b"", EOFError, "^$"),
        (b"Exceeded MaxStartups\r\n", EOFError, "Exceeded MaxStartups"),
        (b"Not allowed at this time\r\n", EOFError, "Not allowed"),
        (b"HTTP/1.1 400 Bad Request\r\n", SSHException, "it sent HTTP/1.1 400"),
        (b"x" * 10_000, SSHException, "it sent xxx"),
        (b"a\r\n" * 1024, SSHException, "it sent a"),
        (b"SSH-2.0-x\r\n\x7f\xff\xff\xfc\0\0\0\0", SSHException, "a message of"),
        (b"SSH-1.5-x\r\n", SSHException, "1.5"),
    ],
    ids=["nothing", "too many", "penalty", "web", "no line", "no end", "huge", "old"],
)
def test_a_stranger_is_told_from_a_busy_server(said: bytes, error: type[Exception], what: str) -> None:
    with stranger(said) as stream, pytest.raises(error, match=what):
        connected(stream)


def test_lines_before_the_version_are_passed_over() -> None:
    with stranger(b"hello\r\n" * 100 + b"SSH-2.0-x\r\n", closes=False) as stream:
        stream.skip_greeting()
        assert stream.recv(11) == b"SSH-2.0-x\r\n"


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"SSH-2.0-OpenSSH_9.2\r\n\0\0\1\x0c\0\0\0\0"])
def test_silence_ends_at_the_deadline(said: bytes) -> None:
    start = time.monotonic()
    with stranger(said, closes=False) as stream, pytest.raises(DeadlineExceededError):
        Transport(stream, 0.2, REQUEST).start_client()
    assert 0.1 < time.monotonic() - start < 2


def test_who_never_stops_talking_ends_at_the_deadline_too() -> None:
    ours, theirs = socket.socketpair()
    over = Event()

    def conversation() -> None:
        with contextlib.suppress(OSError):
            theirs.sendall(b"SSH-2.0-x\r\n")
            while not over.is_set():
                theirs.sendall(b"\0\0\0\x0c\x0a\2\0" + bytes(9))  # IGNORE, an empty one

    thread = Thread(target=conversation)
    thread.start()
    try:
        with pytest.raises(DeadlineExceededError):
            Transport(DeadlineSocket(ours, Deadline(SECONDS)), 0.3, REQUEST).start_client()
    finally:
        over.set()
        ours.close()
        thread.join(SECONDS)
        theirs.close()


# ---- messages of a hostile server ----


def packed(kind: int, *fields: int | bytes) -> bytes:
    """A message as bytes: its type, then integers of 32 bits and strings."""
    parts = [struct.pack(">I", field) if isinstance(field, int) else field for field in fields]
    return bytes([kind]) + b"".join(parts)


def text(data: bytes, size: int | None = None) -> bytes:
    """A string, which may claim another size than it has."""
    return struct.pack(">I", len(data) if size is None else size) + data


WINDOW = 2**21
HOSTILE = {
    "EXT_INFO of 2^32 entries": ("keys", (packed(7, 2**32 - 1),), "ends early"),
    "EXT_INFO of a name that is longer": ("keys", (packed(7, 1, text(b"x", 2**20 - 1)),), "ends early"),
    "a text that is not UTF-8": ("success", (packed(80, text(b"\xff\xfe"), 0),), "malformed"),
    "a message without its fields": ("success", (packed(96),), "ends early"),
    "data before the login": ("login", (packed(94, 0, text(b"x")),), "channel 0, which is not open"),
    "extended data before the login": ("login", (packed(95, 0, 1, text(b"x")),), "channel 0, which is not open"),
    "a channel before the login": ("login", (packed(91, 0, 0, WINDOW, 2**15),), "was not asked for"),
    "a refused channel before the login": ("login", (packed(92, 0, 1, text(b""), text(b"")),), "before it answered"),
    "data before the channel is open": ("success", (packed(94, 0, text(b"x")),), "channel 0, which is not open"),
    "the end of a channel before it is open": ("success", (packed(97, 0),), "channel 0, which is not open"),
    "a channel that is opened twice": ("command", (packed(91, 0, 0, WINDOW, 2**15),), "was not asked for"),
    "a channel of another number": ("command", (packed(94, 77, text(b"x")),), "channel 77, which is not open"),
    "data beyond the window": ("command", (packed(94, 0, text(bytes(2**15))),) * 65, "channel's window"),
    "stderr beyond the window": ("command", (packed(95, 0, 1, text(bytes(2**15))),) * 65, "channel's window"),
    "unknown data beyond the window": ("command", (packed(95, 0, 7, text(bytes(2**15))),) * 65, "channel's window"),
    "data that claims more than it has": ("command", (packed(94, 0, text(b"x", 2**16)),), "ends early"),
    "a window of more than 4 GiB": ("command", (packed(93, 0, 2**32 - 1),) * 2, "4 GiB"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_message_that_claims_more_than_is_allowed_ends_the_connection(case: str) -> None:
    moment, messages, problem = HOSTILE[case]
    with serving(Rules(), interjecting(moment, *messages)) as stream, pytest.raises(SSHException, match=problem):
        transport = connected(stream)
        transport.auth_publickey("admin", KEY)
        transport.shell()
        transport.read_until(lambda: False)
    assert transport.broken


def test_prompts_of_a_login_are_counted_in_the_message() -> None:
    prompts = packed(60, text(b""), text(b""), text(b""), 2**32 - 1)
    with serving(Rules(), interjecting("login", prompts)) as stream, pytest.raises(SSHException, match="ends early"):
        connected(stream).auth_interactive("admin", lambda *_: [])


def test_requests_during_a_key_exchange_are_answered_after_it_and_bounded() -> None:
    request = packed(98, 0, text(b"x"), b"\1")
    for count, ends in ((900, False), (1100, True)):
        with serving(Rules(), interjecting("command", *[request] * count)) as stream:
            transport = connected(stream)
            transport.auth_publickey("admin", KEY)
            transport._send_kex_init()
            channel = transport.shell()
            with pytest.raises(SSHException, match="requests during") if ends else contextlib.nullcontext():
                assert read(transport, channel, len(REQUEST[1])) == REQUEST[1]
                transport.read_until(transport.clear_to_send.is_set)
                assert transport._held == []
