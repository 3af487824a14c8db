"""One node's SSH session: one connection, one channel."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import time
from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import Any

from paramiko import ChannelException, PasswordRequiredException, SSHException

from tasks.core.errors import NodeError, RemoteError, ShellEndedError, UnreachableError
from tasks.core.host import Host, HostKeys
from tasks.core.inventory.connection import strict_host_key_checking
from tasks.ssh.client import Client
from tasks.ssh.deadline import Deadline
from tasks.ssh.hostkeys import DEFAULT_FILES, KnownHosts, Policy, host_key_names
from tasks.ssh.proxy import Proxy, expand
from tasks.ssh.route import Access, Hop, route
from tasks.ssh.transport import DeadlineExceededError, DeadlineSocket, Transport

LARGEST_REPLY = 2 * 1024 * 1024  # bytes; a healthy reply has some 5 kB, and its facts take twenty times its size

# Pauses before a connection is tried again that an sshd took and closed without a key exchange, as it does above its
# MaxStartups. Half as much more or less, at random, so that hosts behind one jump host do not come back together.
RETRY_DELAYS = (0.25, 0.5, 1.0, 2.0, 4.0)


class _RefusedError(UnreachableError):
    """A server closed the connection before the key exchange was done: it may take the next one."""


class Session:
    """A channel to one host, closed at the end of the `with` block. Every failure is a NodeError.

    Nothing is connected before start(): the login, the channel, the command and its stdin go out together.
    """

    def __init__(self, host: Host, access: Access, deadline: Deadline) -> None:
        self.host, self.deadline = host, deadline
        self._access, self._route = access, route(host, access)
        self._lines: list[Transport] = []
        self._proxy: Proxy | None = None
        self._channel: Any = None  # paramiko.Channel; its stubs leave out half of it
        self._buffer = bytearray()

    @property
    def user(self) -> str:
        """Who is logged in."""
        return self._route.hops[-1].user

    @property
    def seconds_left(self) -> float:
        """Until the deadline."""
        return self.deadline.remaining()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection and those to its jump hosts, so that nothing on the node waits for us; never raises."""
        for line in reversed(self._lines):
            line.close()
        if self._proxy:
            self._proxy.close()
        self._lines, self._proxy, self._channel = [], None, None

    # ---- connecting ----

    def start(self, command: str, data: bytes) -> None:
        """Connects, and runs a command with data on its stdin; more may be sent later."""
        turned_away: _RefusedError | None = None
        for pause in (*RETRY_DELAYS, None):
            try:
                self._connect(command, data)
                return
            except UnreachableError as error:
                self.close()
                if turned_away and self.deadline.passed:
                    raise turned_away from error  # the last try came too late to hear what is wrong
                if not isinstance(error, _RefusedError):
                    raise
                turned_away = error
                seconds = (pause or 0) * random.uniform(0.5, 1.5)  # noqa: S311 # no secret
                if pause is None or self._route.proxy_command or seconds > self.deadline.remaining():
                    raise
                time.sleep(seconds)

    def _connect(self, command: str, data: bytes) -> None:
        *between, node = self._route.hops
        for hop in between:
            self._connect_hop(hop, None)
        line = self._connect_hop(node, (command, data))
        with self._translated_errors():
            self._channel = line.shell()

    def _connect_hop(self, hop: Hop, request: tuple[str, bytes] | None) -> Transport:
        """A line to a server whose key was checked, logged in; through those that were reached before."""
        prefix = "" if hop is self._route.hops[-1] else f"jump host {hop}: "
        reached = len(self._lines)
        try:
            return self._log_in(hop, self._socket(hop), request)
        except Exception as error:
            said = self._proxy.said() if self._proxy else ""
            if said and not isinstance(error, NodeError):
                raise UnreachableError(f"ProxyCommand: {said}", "try the same with ssh -v") from error
            line = self._lines[reached] if len(self._lines) > reached else None
            raise _unreachable(hop, line, error, prefix) from error

    @property
    def _handshake_timeout(self) -> float:
        """Seconds for a connection, and again for its key exchange."""
        return self.host.ssh.connect_timeout or self._access.seconds

    def _socket(self, hop: Hop) -> Any:
        """What leads to a server."""
        if self._lines:
            with self.deadline.within(self._handshake_timeout):
                return self._lines[-1].tunnel(hop.host, hop.port)
        if self._route.proxy_command:
            self._proxy = Proxy(expand(self._route.proxy_command, hop.host, hop.port, hop.user))
            return self._proxy.socket
        sock = socket.create_connection((hop.host, hop.port), min(self._handshake_timeout, self.deadline.remaining()))
        # Where a login goes step by step, Nagle and delayed ACKs cost two times 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _log_in(self, hop: Hop, sock: Any, request: tuple[str, bytes] | None) -> Transport:
        policy = _policy(hop, self.host, self._access)
        stream = DeadlineSocket(sock, self.deadline)
        line = Transport(
            stream, self._handshake_timeout, request, disabled_algorithms={"keys": policy.refused_algorithms()}
        )
        self._lines.append(line)
        client = Client()
        client.set_missing_host_key_policy(policy)
        client.connect(
            hop.host,
            hop.port,
            sock=stream,
            transport_factory=lambda *_, **__: line,
            **self._login(hop),
        )
        return line

    def _login(self, hop: Hop) -> dict[str, Any]:
        """As whom and with what: fabric's settings for every hop, the inventory's password for the node alone."""
        login = {**self._access.login, "username": hop.user, "key_filename": list(hop.key_files)}
        if self.host.ssh.password is not None and hop is self._route.hops[-1]:
            login["password"] = str(self.host.ssh.password)
        return login

    # ---- talking ----

    def send(self, data: bytes) -> None:
        """Sends to the command's stdin."""
        with self._translated_errors():
            self._line.send(self._open, data)

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """Output up to the first line that is one of `ends`, and that line. Raises RemoteError when it does not come.

        Bytes of stdout and stderr that came before are part of it.
        """
        longest, searched = max(map(len, ends)), 0
        with self._translated_errors():
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
        channel = self._open
        self._line.read_until(lambda: channel.recv_ready() or channel.eof_received or channel.closed)
        if not channel.recv_ready():
            raise EOFError("its end of it is gone")
        data: bytes = channel.recv(65536)
        return data

    def _ended(self) -> ShellEndedError:
        """The command ended before its reply was complete: say what it said last."""
        channel = self._open
        # the end of the output comes before the exit status
        with contextlib.suppress(Exception), self.deadline.within(1.0):
            self._line.read_until(lambda: channel.closed or channel.exit_status >= 0)
        while len(self._buffer) < LARGEST_REPLY and channel.recv_ready():
            self._buffer += channel.recv(65536)
        status = channel.exit_status if channel.exit_status >= 0 else "unknown"
        lines = self._buffer.decode("utf-8", "replace").split("\n")
        said = "; ".join(line.strip() for line in lines if line.strip())[-300:]
        problem = f"the node's shell ended with status {status}: {said or 'it said nothing'}"
        return ShellEndedError(problem, "log in with ssh, and see whether that user gets a shell")

    @property
    def _line(self) -> Transport:
        if not self._lines:
            raise RemoteError("the session is not open")
        return self._lines[-1]

    @property
    def _open(self) -> Any:
        if self._channel is None:
            raise RemoteError("the session is not open")
        return self._channel

    @contextlib.contextmanager
    def _translated_errors(self) -> Any:
        try:
            yield
        except DeadlineExceededError as error:
            problem = f"no answer within {self.deadline.seconds:g} s"
            raise RemoteError(problem, "look at the node's load, or give it more time: --timeout") from error
        except ChannelException as error:
            raise UnreachableError(
                f"it opens no session: {error.text}", "look at MaxSessions in the node's sshd_config"
            ) from error
        except (OSError, SSHException, EOFError) as error:
            # Only the command is gone, perhaps while we were still sending; when the connection is, no end was told.
            if self._channel and (self._channel.eof_received or not self._line.broken):
                raise self._ended() from error
            problem = f"the connection was lost: {str(error) or 'it was closed'}"
            raise UnreachableError(problem, "run the same command again") from error


def _policy(hop: Hop, host: Host, access: Access) -> Policy:
    """Who decides about a server's key."""
    settings = hop.settings
    return Policy(
        access.host_keys or host.ssh.host_keys or _configured_mode(settings),
        known_hosts(host.ssh.known_hosts or _configured_files(settings)),
        *host_key_names(hop.host, hop.port, settings.get("hostkeyalias", "")),
    )


def _configured_mode(settings: Mapping[str, str]) -> HostKeys:
    try:
        return strict_host_key_checking(settings.get("stricthostkeychecking", "yes"))
    except ValueError as error:
        raise UnreachableError(str(error), "correct it in ssh_config") from None


def _configured_files(settings: Mapping[str, str]) -> tuple[str, ...]:
    given = [*settings.get("userknownhostsfile", "").split(), *settings.get("globalknownhostsfile", "").split()]
    return tuple(given) or DEFAULT_FILES


def known_hosts(files: tuple[str, ...]) -> KnownHosts:
    """The known_hosts files, read once a run however many hosts share them."""
    with _READING:
        return _known_hosts(files)


_READING = Lock()  # a cache alone may compute twice, and then one would not know what the other has added
_known_hosts = cache(KnownHosts)


def _unreachable(hop: Hop, line: Transport | None, error: Exception, prefix: str) -> NodeError:
    """A transport's exception as one sentence and a next step; the same trouble of two nodes gives the same words.

    line: as far as it got. whose: put before what is said of a host in between.
    """
    kind: type[NodeError] = UnreachableError
    if isinstance(error, NodeError):
        kind, problem, step = type(error), error.problem, error.next_step
    elif line and line.initial_kex_done:
        problem, step = _refused(hop.user, error)
    elif line and isinstance(error, EOFError | ConnectionError):
        kind = _RefusedError
        said = f": {error}" if isinstance(error, EOFError) and error.args else ""
        problem = f"the connection on port {hop.port} was closed before the key exchange{said}"
        step = "look at sshd's log there; too many at once: its MaxStartups, or fewer --forks"
    else:
        problem, step = _no_handshake(hop.port) if line and _is_late(error) else _connect_error(hop.port, error)
    return kind(f"{prefix}{problem}", step)


def _is_late(error: Exception) -> bool:
    return isinstance(error, DeadlineExceededError | TimeoutError)


def _no_handshake(port: int) -> tuple[str, str]:
    return f"port {port} takes connections, but does not speak SSH in time", "look at the node's load, and its sshd"


def _refused(user: str, error: Exception) -> tuple[str, str]:
    if isinstance(error, DeadlineExceededError):
        return "no answer to the login", "look at the node's load, and where its users come from"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", "correct the path of the key: inventory, or -i"
    # paramiko tries each kind of key in turn: after a wrong passphrase its last word is "Invalid key"
    if isinstance(error, PasswordRequiredException) or re.search("checkints|Invalid key$", str(error)):
        problem = "its key does not open: the passphrase is missing or wrong, or it is no private key"
        return problem, "run again with fab --prompt-for-passphrase, or load the key with ssh-add"
    step = "check user and key (-i), or the node's authorized_keys"
    return f"the login as {user} failed: {str(error) or 'the connection was closed'}", step


def _connect_error(port: int, error: Exception) -> tuple[str, str]:
    if _is_late(error):
        return f"no answer on port {port}", "is it up, and is a firewall in between?"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved", "correct ansible_host in the inventory"
    if isinstance(error, ChannelException):
        return f"the jump host does not reach port {port} there: {error.text}", "is it up, and does sshd listen there?"
    if isinstance(error, OSError):
        return f"{error.strerror or error} on port {port}", "is it up, and does sshd listen there?"
    return str(error) or type(error).__name__, "try the same with ssh -v"
