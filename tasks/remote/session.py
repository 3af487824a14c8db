"""One node's SSH session: one connection, one channel. The only importer of fabric.Connection and paramiko's client."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Event, Lock
from typing import Any

import paramiko
from fabric import Connection
from paramiko.ssh_exception import (
    AuthenticationException,
    NoValidConnectionsError,
    PasswordRequiredException,
    SSHException,
)

from tasks.core.errors import NodeError, RemoteError, ShellEndedError, UnreachableError
from tasks.core.model import Host, HostKeys
from tasks.remote.hostkeys import DEFAULT_FILES, KnownHosts, Policy, names_of
from tasks.remote.proxy import Proxy, expand

LARGEST_REPLY = 2 * 1024 * 1024  # bytes; a healthy reply has some 5 kB, and its facts take twenty times its size
CONNECT_SECONDS = 10.0


class Deadline:
    """A point in time that a host's work must not pass."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never less than a hundredth: paramiko takes 0 for non-blocking."""
        return max(self._end - time.monotonic(), 0.01)

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self._end


@dataclass(frozen=True, slots=True)
class Access:
    """What connecting needs besides the host: fabric's configuration (with ssh_config and -i) and the admin's word."""

    config: Any
    host_keys: HostKeys | None


class Session:
    """A channel to one host, opened by `with`. Every failure is a NodeError."""

    def __init__(self, host: Host, access: Access, deadline: Deadline) -> None:
        self.host, self.deadline = host, deadline
        self._connection = _connection(host, access, deadline)
        self._channel: paramiko.Channel | None = None
        self._proxy: Proxy | None = None
        self._buffer = bytearray()

    @property
    def user(self) -> str:
        """Who is logged in."""
        return str(self._connection.user)

    def __enter__(self) -> Session:
        try:
            self._start_proxy()
            self._connection.open()
            transport = self._connection.transport
            transport.set_keepalive(15)
            self._channel = transport.open_session(timeout=self.deadline.remaining())
        except Exception as error:
            failed, proxy = self._failed_hop(), self._proxy.said() if self._proxy else ""
            self.close()
            if proxy and not isinstance(error, NodeError):
                raise UnreachableError(f"ProxyCommand: {proxy}", "try the same with ssh -v") from error
            whose = "" if failed is self._connection else f"jump host {_address(failed)}: "
            raise _unreachable(failed, error, whose) from error
        return self

    def _start_proxy(self) -> None:
        """Puts a ProxyCommand before the first hop, if there is one."""
        first = list(_hops(self._connection))[-1]
        if isinstance(first.gateway, str):
            self._proxy = Proxy(expand(first.gateway, first.host, first.port, first.user))
            first.gateway = None
            first.connect_kwargs["sock"] = self._proxy.socket

    def _failed_hop(self) -> Connection:
        """The first hop that could not be reached: a jump host, or the node itself."""
        hops = list(_hops(self._connection))
        return next((hop for hop in reversed(hops) if not hop.is_connected), hops[0])

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection and those to its jump hosts; never raises."""
        for hop in _hops(self._connection):
            with contextlib.suppress(Exception):
                hop.client.close()
        if self._proxy:
            self._proxy.close()
            self._proxy = None

    def start(self, command: str, data: bytes) -> None:
        """Runs a command with data on its stdin; more may be sent later."""
        with self._lost():
            self._open.exec_command(command)
        self.send(data)

    def send(self, data: bytes) -> None:
        """Sends to the command's stdin."""
        with self._lost():
            self._open.settimeout(self.deadline.remaining())
            self._open.sendall(data)

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """Output up to the first line that is one of `ends`, and that line. Raises RemoteError when it does not come.

        Bytes of stdout and stderr that came before are part of it: node scripts join the two.
        """
        longest, searched = max(map(len, ends)), 0
        while not (found := [(at, end) for end in ends if (at := self._buffer.find(end, searched)) >= 0]):
            if len(self._buffer) > LARGEST_REPLY:
                raise RemoteError(f"its reply has more than {LARGEST_REPLY} bytes", "look at what its shell prints")
            searched = max(0, len(self._buffer) - longest + 1)  # what was searched once is not searched again
            self._buffer += self._more()
        at, end = min(found)
        before = bytes(self._buffer[:at])
        del self._buffer[: at + len(end)]
        return before, end

    def _more(self) -> bytes:
        with self._lost():
            self._open.settimeout(self.deadline.remaining())
            data: bytes = self._open.recv(65536)
            if not data:
                raise EOFError("its end of it is gone")
        return data

    def _ended(self) -> ShellEndedError:
        """The command ended before its reply was complete: say what it said last."""
        channel = self._open
        channel.settimeout(1.0)
        with contextlib.suppress(Exception):
            while len(self._buffer) < LARGEST_REPLY and (more := channel.recv(65536) or channel.recv_stderr(65536)):
                self._buffer += more
        # the end of the output comes before the exit status
        status = channel.recv_exit_status() if channel.status_event.wait(1.0) else "unknown"
        lines = self._buffer.decode("utf-8", "replace").split("\n")
        said = "; ".join(line.strip() for line in lines if line.strip())[-300:]
        problem = f"the node's shell ended with status {status}: {said or 'it said nothing'}"
        return ShellEndedError(problem, "log in with ssh, and see whether that user gets a shell")

    @property
    def _open(self) -> paramiko.Channel:
        if self._channel is None:
            raise RemoteError("the session is not open")
        return self._channel

    @contextlib.contextmanager
    def _lost(self) -> Any:
        try:
            yield
        except TimeoutError as error:
            problem = f"no answer within {self.deadline.seconds:g} s"
            raise RemoteError(problem, "look at the node's load, or give it more time: --timeout") from error
        except (OSError, SSHException, EOFError) as error:
            # Only the command is gone, perhaps while we were still sending; when the connection is, no end was told.
            if self._open.eof_received:
                raise self._ended() from error
            raise UnreachableError(f"the connection was lost: {error}", "run the same command again") from error


def _hops(connection: Connection) -> Iterator[Any]:
    """A connection and those to its jump hosts, the first hop last."""
    hop: Any = connection
    while isinstance(hop, Connection):
        yield hop
        hop = hop.gateway


def _address(connection: Any) -> str:
    return f"{connection.user}@{connection.host}:{connection.port}"


def _connection(host: Host, access: Access, deadline: Deadline) -> Connection:
    """A fabric Connection, not yet open, that checks host keys on every hop."""
    config = access.config.clone()  # a shared one leaks keys from host to host and is not safe between threads
    options = host.ssh
    kwargs = dict(config.connect_kwargs)
    seconds = options.connect_timeout or kwargs.pop("timeout", None) or CONNECT_SECONDS
    if options.key_files:
        given = kwargs.get("key_filename") or []
        mine = [str(Path(file).expanduser()) for file in options.key_files]
        kwargs["key_filename"] = [*([given] if isinstance(given, str) else given), *mine]
    if options.password is not None:
        kwargs["password"] = str(options.password)
    connection = Connection(
        host=host.address,
        user=host.user,
        port=host.port,
        gateway=_gateway(host, config),
        config=config,
        connect_kwargs=kwargs,
    )
    _prepare(connection, host, access.host_keys, min(seconds, deadline.remaining()), deadline)
    return connection


def _gateway(host: Host, config: Any) -> Connection | str | bool | None:
    """What the inventory says is in between: None leaves it to ssh_config, False (OpenSSH's `none`) means nothing.

    `user@a:22,b` becomes a Connection to b through a, as ProxyJump means it.
    """
    command, hops = host.ssh.proxy_command, host.ssh.proxy_jump
    if "none" in (command, hops):
        return False
    if command or not hops:
        return command
    gateway = None
    for hop in hops.split(","):
        gateway = Connection(hop.strip(), gateway=gateway, config=config.clone())
    return gateway


def _prepare(connection: Connection, host: Host, mode: HostKeys | None, seconds: float, deadline: Deadline) -> None:
    """Gives the connection and each hop before it a client that checks keys, for fabric's own accepts any, and limits.

    seconds: for a connection and its handshake; given as an attribute, because fabric makes 0.9 s of an argument to 0.
    """
    for hop in _hops(connection):
        settings = hop.ssh_config
        policy = Policy(
            mode or host.ssh.host_keys or _configured_mode(settings),
            known_hosts(host.ssh.known_hosts or _configured_files(settings)),
            *names_of(hop.host, int(hop.port), settings.get("hostkeyalias", "")),
        )
        hop.client = paramiko.SSHClient()
        hop.client.set_missing_host_key_policy(policy)
        hop.connect_timeout = seconds
        hop.connect_kwargs = {
            **hop.connect_kwargs,
            "disabled_algorithms": {"keys": policy.refused_algorithms()},
            "transport_factory": partial(_Transport, deadline),
        }


class _NoHandshakeError(TimeoutError):
    """Somebody took the connection, and then nothing came, or not enough."""


class _Transport(paramiko.Transport):
    """Sends at once, and waits for nothing past the deadline: paramiko has limits of its own, 15, 30 and 3600 s.

    Without TCP_NODELAY, Nagle and delayed ACKs cost two times 40 ms a login.
    """

    def __init__(self, deadline: Deadline, sock: Any, **options: Any) -> None:
        if isinstance(sock, socket.socket) and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deadline = deadline
        super().__init__(sock, **options)
        self.channel_timeout = deadline.remaining()
        self.banner_timeout = self.handshake_timeout = deadline.remaining() + 1  # start_client ends before them

    @property
    def auth_timeout(self) -> float:
        """What each of the login's steps may take: one for each key."""
        return self._deadline.remaining()

    @auth_timeout.setter
    def auth_timeout(self, _: float) -> None:
        """paramiko's own limit does not count."""

    def start_client(self, event: Event | None = None, timeout: float | None = None) -> None:
        """The handshake; paramiko returns without a word when its time is over."""
        super().start_client(event, min(timeout or CONNECT_SECONDS, self._deadline.remaining()))
        if not self.initial_kex_done:
            raise _NoHandshakeError


def _configured_mode(settings: Mapping[str, str]) -> HostKeys:
    word = settings.get("stricthostkeychecking", "").lower()
    return {"accept-new": HostKeys.ACCEPT_NEW, "no": HostKeys.OFF, "off": HostKeys.OFF}.get(word, HostKeys.STRICT)


def _configured_files(settings: Mapping[str, str]) -> tuple[str, ...]:
    given = [*settings.get("userknownhostsfile", "").split(), *settings.get("globalknownhostsfile", "").split()]
    return tuple(given) or DEFAULT_FILES


def known_hosts(files: tuple[str, ...]) -> KnownHosts:
    """The known_hosts files, read once a run however many hosts share them."""
    with _READING:
        return _known_hosts(files)


_READING = Lock()  # a cache alone may compute twice, and then one would not know what the other has added
_known_hosts = cache(KnownHosts)


def _unreachable(connection: Connection, error: Exception, whose: str) -> NodeError:
    """A transport's exception as one sentence and a next step; the same trouble of two nodes gives the same words.

    whose: put before what is said of a host in between.
    """
    if isinstance(error, NodeError):
        problem, step = error.problem, error.next_step
        return type(error)(f"{whose}{problem}", step)
    if isinstance(error, NoValidConnectionsError):
        error = next(iter(error.errors.values()), error)
    # paramiko tries each kind of key in turn: after a wrong passphrase its last word is "Invalid key"
    if isinstance(error, PasswordRequiredException) or re.search("checkints|Invalid key$", str(error)):
        problem = "its key does not open: the passphrase is missing or wrong, or it is no private key"
        step = "run again with fab --prompt-for-passphrase, or load the key with ssh-add"
    elif isinstance(error, AuthenticationException):
        problem, step = _refused(connection.user, error)
    elif isinstance(error, OSError):
        problem, step = _no_way(connection.port, error)
    else:  # an EOFError has no words
        problem, step = str(error) or type(error).__name__, "try the same with ssh -v"
    return UnreachableError(f"{whose}{problem}", step)


def _refused(user: str, error: AuthenticationException) -> tuple[str, str]:
    if "timeout" in str(error):
        return "no answer to the login", "look at the node's load, and where its users come from"
    return f"the login as {user} failed: {error}", "check user and key (-i), or the node's authorized_keys"


def _no_way(port: int, error: OSError) -> tuple[str, str]:
    if isinstance(error, _NoHandshakeError):
        return f"port {port} takes connections, but does not speak SSH in time", "look at the node's load, and its sshd"
    if isinstance(error, TimeoutError):
        return f"no answer on port {port}", "is it up, and is a firewall in between?"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved", "correct ansible_host in the inventory"
    if error.filename:
        return f"{error.filename}: {error.strerror}", "correct the path of the key: inventory, or -i"
    return f"{error.strerror or error} on port {port}", "is it up, and does sshd listen there?"
