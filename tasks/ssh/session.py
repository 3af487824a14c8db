"""One node's SSH session: one connection, one channel."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from threading import Lock
from typing import Any, Self

from paramiko import ChannelException, PasswordRequiredException, SSHException

from tasks.core.errors import NodeError, RemoteError, ShellEndedError, UnreachableError
from tasks.core.host import Host, HostKeys, SshOptions
from tasks.core.inventory.connection import strict_host_key_checking
from tasks.ssh.client import Client, public_keys
from tasks.ssh.connect import ResolverError, connect
from tasks.ssh.deadline import Deadline
from tasks.ssh.hostkeys import GLOBAL_FILES, USER_FILES, KnownHosts, Policy, RevokedKeys, host_key_names
from tasks.ssh.proxy import Proxy, expand
from tasks.ssh.route import Access, Hop, expand_path, find_route
from tasks.ssh.transport import DeadlineExceededError, DeadlineSocket, Transport

LARGEST_REPLY = 2 * 1024 * 1024  # bytes; a healthy reply has about 5 kB, and its facts take twenty times its size

# Seconds to wait before each retry of a connection that sshd accepted and closed before the key exchange, as it does
# above its MaxStartups. Each varies at random by half, so that hosts behind one jump host do not return together.
RETRY_DELAYS = (0.25, 0.5, 1.0, 2.0, 4.0)

CONNECT_PATIENCE = 0.25  # seconds; a kernel answers within a round trip, however busy its machine is
GREETING_PATIENCE = 2.0  # seconds; an sshd answers later the busier its machine is, and more clients make it busier


class _RefusedError(UnreachableError):
    """A server closed the connection before the key exchange was done. It may accept the next one."""


class Session:
    """A channel to one host, closed at the end of the `with` block. Every failure is a NodeError.

    start() makes the connection, since the login, the channel, the command and its stdin are sent together. silence:
    entered, with a patience in seconds, while nothing is heard of the node; leaving it may take time, which does not
    count as the host's.
    """

    def __init__(
        self,
        host: Host,
        access: Access,
        deadline: Deadline,
        silence: Callable[[float], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self.host, self.deadline, self._silence = host, deadline, silence
        self._access, self._route = access, find_route(host, access)
        self._transports: list[Transport] = []  # one a hop, the node's last
        self._proxy: Proxy | None = None
        self._channel: Any = None  # paramiko.Channel, whose stubs lack half of its members
        self._buffer = bytearray()
        self.unsafe = False  # the node's host key is not the known one, and checking is off

    @property
    def user(self) -> str:
        """Return the login user."""
        return self._route.hops[-1].user

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline.remaining()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the node and its jump hosts, so that nothing waits there; never raise."""
        for transport in reversed(self._transports):
            transport.close()
        if self._proxy:
            self._proxy.close()
        self._transports, self._proxy, self._channel = [], None, None

    # ---- connecting ----

    def start(self, command: str, data: bytes) -> None:
        """Connect, and run a command with data on its stdin; send() adds more."""
        refusal: _RefusedError | None = None
        for pause in (*RETRY_DELAYS, None):
            try:
                self._connect(command, data)
                return
            except UnreachableError as error:
                self.close()
                if refusal and self.deadline.passed:
                    raise refusal from error  # the last attempt had no time left to learn the reason
                if not isinstance(error, _RefusedError):
                    raise
                refusal = error
                seconds = (pause or 0) * random.uniform(0.5, 1.5)  # noqa: S311 # not a secret
                if pause is None or self._route.proxy_command or seconds > self.deadline.remaining():
                    raise
                time.sleep(seconds)

    def _connect(self, command: str, data: bytes) -> None:
        *jump_hosts, node = self._route.hops
        for hop in jump_hosts:
            self._connect_hop(hop, None)
        transport = self._connect_hop(node, (command, data))
        with self._translated_errors():
            self._channel = transport.shell()

    def _connect_hop(self, hop: Hop, request: tuple[str, bytes] | None) -> Transport:
        """Return a logged-in transport to a server whose host key was checked, through the hops connected so far."""
        prefix = "" if hop is self._route.hops[-1] else f"jump host {hop}: "
        reached = len(self._transports)
        try:
            options = self.host.ssh if hop is self._route.hops[-1] else SshOptions()
            policy = _policy(hop, options, self._access)  # before the socket, which nobody would close if this fails
            with self._silent(hop, CONNECT_PATIENCE):
                sock = self._socket(hop)
            with contextlib.ExitStack() as greeting:
                greeting.enter_context(self._silent(hop, GREETING_PATIENCE))
                return self._log_in(hop, policy, sock, request, greeting.close)
        except Exception as error:
            reason = self._proxy.last_errors() if self._proxy else ""
            if reason and not isinstance(error, NodeError):
                raise UnreachableError(f"ProxyCommand: {reason}", "try the same with ssh -v") from error
            transport = self._transports[reached] if len(self._transports) > reached else None
            raise _unreachable(hop, transport, error, prefix) from error

    @contextlib.contextmanager
    def _silent(self, hop: Hop, patience: float) -> Iterator[None]:
        """Mark a block in which nothing is heard of the node.

        Not of a jump host, which must not get more logins at a time than there are forks, nor of a node behind a
        ProxyCommand, a process that takes memory.
        """
        if hop is not self._route.hops[-1] or self._route.proxy_command:
            yield
            return
        with self._silence(patience):
            yield
            start = time.monotonic()
        self.deadline.extend(time.monotonic() - start)

    @property
    def _handshake_timeout(self) -> float:
        """Return the seconds that a connection may take, and again its key exchange."""
        return self.host.ssh.connect_timeout or self._access.seconds

    def _socket(self, hop: Hop) -> Any:
        """Return a socket to a server: through the last hop, a ProxyCommand, or the network."""
        if self._transports:
            with self.deadline.within(self._handshake_timeout):
                return self._transports[-1].tunnel(hop.host, hop.port)
        if self._route.proxy_command:
            self._proxy = Proxy(expand(self._route.proxy_command, hop.host, hop.port, hop.user, hop.name))
            return self._proxy.socket
        with self.deadline.within(self._handshake_timeout):
            sock = connect(hop.host, hop.port, self.deadline)
        # A login in single steps would lose twice 40 ms to Nagle's algorithm and delayed ACKs.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _log_in(
        self, hop: Hop, policy: Policy, sock: Any, request: tuple[str, bytes] | None, greeted: Callable[[], None]
    ) -> Transport:
        stream = DeadlineSocket(sock, self.deadline)
        transport = Transport(stream, self._handshake_timeout, request, policy.algorithms())
        transport.greeted = greeted
        self._transports.append(transport)
        client = Client(self.deadline, *_agent_rules(hop))
        client.set_missing_host_key_policy(policy)
        client.connect(
            hop.host,
            hop.port,
            sock=stream,
            transport_factory=lambda *_, **__: transport,
            **self._login(hop),
        )
        self.unsafe = policy.unsafe
        return transport

    def _login(self, hop: Hop) -> dict[str, Any]:
        """Return the login arguments. A password, of the inventory or of fabric's settings, is for the node only."""
        login = {**self._access.login, "username": hop.user, "key_filename": list(hop.key_files)}
        password = self.host.ssh.password or login.pop("password", None)
        if password is not None and hop is self._route.hops[-1]:
            login["password"] = str(password)
        return login

    # ---- the command's streams ----

    def send(self, data: bytes) -> None:
        """Send data to the command's stdin."""
        with self._translated_errors():
            self._transport.send(self._open_channel, data)

    def keep_alive(self, waited: float) -> None:
        """Answer what the server has sent, such as ClientAlive's requests, without waiting for more.

        waited: seconds of waiting for another host, which do not count against the deadline.
        """
        self.deadline.extend(waited)
        with self._translated_errors():
            self._transport.answer_pending()

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """Return the output (stdout and stderr) before the first of the texts in `ends`, and that text.

        Raise RemoteError if none of them arrives in time or within LARGEST_REPLY bytes.
        """
        longest, searched = max(map(len, ends)), 0
        with self._translated_errors():
            while not (found := [(at, end) for end in ends if (at := self._buffer.find(end, searched)) >= 0]):
                if len(self._buffer) > LARGEST_REPLY:
                    problem = f"its reply has more than {LARGEST_REPLY} bytes"
                    raise RemoteError(problem, "check the output of its login shell")
                searched = max(0, len(self._buffer) - longest + 1)  # no byte is searched twice
                self._buffer += self._more()
        at, end = min(found)
        before = bytes(self._buffer[:at])
        del self._buffer[: at + len(end)]
        return before, end

    def _more(self) -> bytes:
        channel = self._open_channel
        self._transport.read_until(lambda: channel.recv_ready() or channel.eof_received or channel.closed)
        if not channel.recv_ready():
            raise EOFError("its end of the channel is closed")
        data: bytes = channel.recv(65536)
        return data

    def _ended(self) -> ShellEndedError:
        """Return the error of a command that ended before its reply was complete, with the end of its output."""
        channel = self._open_channel
        # the exit status arrives after the end of the output
        with contextlib.suppress(Exception), self.deadline.within(1.0):
            self._transport.read_until(lambda: channel.closed or channel.exit_status >= 0)
        while len(self._buffer) < LARGEST_REPLY and channel.recv_ready():
            self._buffer += channel.recv(65536)
        status = channel.exit_status if channel.exit_status >= 0 else "unknown"
        lines = self._buffer.decode("utf-8", "replace").split("\n")
        output = "; ".join(line.strip() for line in lines if line.strip())[-300:]
        problem = f"the node's shell ended with status {status}: {output or 'no output'}"
        return ShellEndedError(problem, "log in with ssh, and check that this user gets a shell")

    @property
    def _transport(self) -> Transport:
        if not self._transports:
            raise RemoteError("the session is not open")
        return self._transports[-1]

    @property
    def _open_channel(self) -> Any:
        if self._channel is None:
            raise RemoteError("the session is not open")
        return self._channel

    @contextlib.contextmanager
    def _translated_errors(self) -> Any:
        try:
            yield
        except DeadlineExceededError as error:
            problem = f"no answer within {self.deadline.seconds:g} s"
            raise RemoteError(problem, "check the node's load, or give it more time: --timeout") from error
        except ChannelException as error:
            raise UnreachableError(
                f"it refused a session: {error.text}", "check MaxSessions in the node's sshd_config"
            ) from error
        except (OSError, SSHException, EOFError) as error:
            # If the channel got EOF or the connection still works, only the command ended, perhaps while data was still
            # being sent. A broken connection brings no EOF.
            if self._channel and (self._channel.eof_received or not self._transport.broken):
                raise self._ended() from error
            problem = f"the connection was lost: {str(error) or 'it was closed'}"
            raise UnreachableError(problem, "run the same command again") from error


def _policy(hop: Hop, options: SshOptions, access: Access) -> Policy:
    """Return the policy for the host key of a hop.

    options: the inventory's for this hop. For a jump host there are none, as in OpenSSH, where -o of the command line
    is for the node and ssh_config alone for its jump hosts.
    """
    settings = hop.settings
    user = options.known_hosts or _files(settings, "userknownhostsfile", USER_FILES)
    shared = options.global_known_hosts or _files(settings, "globalknownhostsfile", GLOBAL_FILES)
    revoked = options.revoked_host_keys or settings.get("revokedhostkeys", "none")
    if settings.get("knownhostscommand", "none").lower() != "none":
        raise UnreachableError(
            "KnownHostsCommand of ssh_config is not run here", "put the keys into a known_hosts file"
        )
    return Policy(
        access.host_keys or options.host_keys or _configured_mode(settings),
        load_known_hosts((*_without_none(user), *_without_none(shared))),
        host_key_names(hop.host, hop.port, settings.get("hostkeyalias", "")),
        revoking=[load_known_hosts((*USER_FILES, *GLOBAL_FILES))],
        revoked=frozenset() if revoked.lower() == "none" else load_revoked_keys(revoked),
        allowed=_algorithms(settings.get("hostkeyalgorithms", "")),
    )


def _algorithms(text: str) -> tuple[str, ...]:
    """Return the names of HostKeyAlgorithms; () for a change of OpenSSH's list, which only `ssh -G` resolves."""
    return () if text[:1] in ("", "+", "-", "^") else tuple(text.split(","))


def _agent_rules(hop: Hop) -> tuple[str, frozenset[bytes] | None]:
    """Return the socket of the agent ("" for $SSH_AUTH_SOCK, "none"), and the public keys that it may use (None: all).

    IdentityAgent and IdentitiesOnly of ssh_config(5).
    """
    agent = hop.settings.get("identityagent", "")
    if agent == "SSH_AUTH_SOCK" or not agent:
        agent = ""
    elif agent.startswith("$"):
        agent = os.environ.get(agent[1:].strip("{}"), "none")
    elif agent.lower() != "none":
        agent = expand_path(agent, hop)
    only = str(hop.settings.get("identitiesonly", "no")).lower() in ("yes", "true")
    return agent, public_keys(hop.key_files) if only else None


def _files(settings: Mapping[str, str], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files that ssh_config names, or else OpenSSH's own."""
    return tuple(settings.get(name, "").split()) or default


def _without_none(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files; `none` alone means no file."""
    return () if len(files) == 1 and files[0].lower() == "none" else files


def _configured_mode(settings: Mapping[str, str]) -> HostKeys:
    try:
        return strict_host_key_checking(settings.get("stricthostkeychecking", "yes"))
    except ValueError as error:
        raise UnreachableError(str(error), "correct it in ssh_config") from None


def load_known_hosts(files: tuple[str, ...]) -> KnownHosts:
    """Return the contents of the known_hosts files, read once a run for all hosts that share them."""
    with _READING:
        return _known_hosts(files)


_READING = Lock()  # a cache alone may compute twice, and keys added to one of the two would be unknown to the other
_known_hosts = cache(KnownHosts)


def load_revoked_keys(file: str) -> RevokedKeys:
    """Return the keys of a RevokedHostKeys file, read once a run. Raise UnreachableError if it cannot be read."""
    with _READING:
        return _revoked_keys(file)


_revoked_keys = cache(RevokedKeys)


def _unreachable(hop: Hop, transport: Transport | None, error: Exception, prefix: str) -> NodeError:
    """Return a transport's exception as a NodeError; equal trouble of two nodes gives equal text.

    transport: None if the connection failed. prefix: the name of a jump host.
    """
    kind: type[NodeError] = UnreachableError
    if isinstance(error, NodeError):
        kind, problem, step = type(error), error.problem, error.next_step
    elif transport and transport.initial_kex_done:
        problem, step = _login_error(hop.user, error)
    elif transport and isinstance(error, EOFError | ConnectionError):
        kind = _RefusedError
        reason = f": {error}" if isinstance(error, EOFError) and error.args else ""
        problem = f"the connection on port {hop.port} was closed before the key exchange{reason}"
        step = "check sshd's log there; if too many connect at once: its MaxStartups, or fewer --forks"
    else:
        late = transport and _is_late(error)
        problem, step = _handshake_timeout(hop.port) if late else _connect_error(hop.port, error)
    return kind(f"{prefix}{problem}", step)


def _is_late(error: Exception) -> bool:
    return isinstance(error, DeadlineExceededError | TimeoutError)


def _handshake_timeout(port: int) -> tuple[str, str]:
    return f"port {port} accepts connections, but does not speak SSH in time", "check the node's load, and its sshd"


def _login_error(user: str, error: Exception) -> tuple[str, str]:
    if isinstance(error, DeadlineExceededError):
        return "no answer to the login", "check the node's load, and the source of its users (NSS, LDAP)"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", "correct the path of the key: inventory, or -i"
    # paramiko tries each type of key in turn: after a wrong passphrase its last error is "Invalid key"
    if isinstance(error, PasswordRequiredException) or re.search("checkints|Invalid key$", str(error)):
        problem = "cannot load the private key: wrong or missing passphrase, or not a private key"
        return problem, "run again with fab --prompt-for-passphrase, or load the key with ssh-add"
    step = "check the user and the key (-i), or the node's authorized_keys"
    return f"the login as {user} failed: {str(error) or 'the connection was closed'}", step


def _connect_error(port: int, error: Exception) -> tuple[str, str]:
    if isinstance(error, ResolverError):
        return "the resolver does not answer", "check /etc/resolv.conf here, or write an address as ansible_host"
    if _is_late(error):
        return f"no answer on port {port}", "is it up, and is a firewall in between?"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved", "correct ansible_host in the inventory"
    if isinstance(error, ChannelException):
        return f"the jump host does not reach port {port} there: {error.text}", "is it up, and does sshd listen there?"
    if isinstance(error, OSError):
        return f"{error.strerror or error} on port {port}", "is it up, and does sshd listen there?"
    return str(error) or type(error).__name__, "try the same with ssh -v"
