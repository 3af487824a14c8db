"""The requests and replies of one channel to a node, with sudo where a change needs it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from tasks.core.errors import RemoteError, ShellEndedError
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.protocol import instructions as protocol
from tasks.core.protocol import reply
from tasks.core.redact import Secret
from tasks.core.result import NodeResult
from tasks.node import script
from tasks.node.context import StepContext
from tasks.node.sudo import PasswordGate, password_missing


class Channel(Protocol):
    """The part of a session that a conversation needs."""

    @property
    def user(self) -> str:
        """Return the login user."""

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the host's deadline."""

    @property
    def unsafe(self) -> bool:
        """Tell if the node may be another one: its host key is not the known one, and checking is off."""

    def start(self, command: str, data: bytes) -> None:
        """Run a command and send the beginning of its stdin."""

    def send(self, data: bytes) -> None:
        """Send more stdin."""

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """Return the output up to one of `ends`, and that end. Raises ShellEndedError or RemoteError."""

    def keep_alive(self, waited: float) -> None:
        """Answer the far end's keepalives, after so many seconds of waiting that do not count as the host's."""


class Conversation:
    """The requests and replies of one channel, with one random mark. had_lock: it has held the lock of the node."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.mark = script.new_mark()
        self.has_shell = False
        self.known: set[str] = set()  # parts of the script that the shell on the node has
        self.had_lock = False
        self.window = (0.0, 0.0)  # our monotonic seconds before the last request and after its reply

    def ask(self, lines: Sequence[str]) -> Facts:
        """Send a request that reads, as the login user, and return the facts of its reply."""
        data = self._request(lines)
        before = time.monotonic()
        if self.has_shell:
            self.channel.send(f"again {len(data)}\n".encode() + data)
        else:
            self.channel.start(script.command(self.mark, len(data)), data)
        self.has_shell = True
        facts = self._reply()
        self.window = (before, time.monotonic())
        return facts

    def change(self, lines: Sequence[str], host: Host, facts: Facts, context: StepContext) -> Facts:
        """Send a request that changes, as root, and return the facts afterwards.

        facts: of an earlier probe; they complete the reply to a request that ends with `rescan`.
        """
        if facts.uid != 0:
            self.known.clear()  # root gets a shell of its own
        data = self._request(lines, changes=True)
        before = time.monotonic()
        password = host.become.password or context.password
        if password and facts.uid != 0 and host.become.wanted is not False and self.channel.unsafe:
            raise RemoteError(
                "its host key is not the known one, so no sudo password is sent, although host keys are not checked",
                "put the right key into known_hosts",
            )
        if facts.uid == 0:
            self.channel.send(f"again {len(data)}\n".encode() + data)
        elif host.become.wanted is False:
            raise RemoteError(
                f"{self.channel.user} is not root, and ansible_become is false", "allow sudo, or log in as root"
            )
        elif password is None:
            self._without_password(data)
        else:
            self._with_password(data, host, password, context.gates.of(password))
        try:
            found = self._reply(facts if protocol.RESCAN in lines else None)
        except ShellEndedError as error:
            raise RemoteError(f"in the middle of a change, {error.problem}", _FINISH) from error
        self.window = (before, time.monotonic())
        return found

    def _request(self, lines: Sequence[str], *, changes: bool = False) -> bytes:
        return script.request(self.mark, lines, changes=changes, known=self.known)

    def _without_password(self, data: bytes) -> None:
        """Send the request along with sudo: the root shell reports that it is ready before it reads."""
        try:
            self.channel.send(f"sudo {len(data)}\n".encode() + data)
            self.channel.receive(f"{self.mark} ready\n".encode())
        except ShellEndedError as error:
            if "password" in error.problem:
                raise password_missing(self.channel.user) from error
            raise RemoteError(f"sudo refused {self.channel.user}: {error.problem}", _SUDOERS) from error

    def _with_password(self, data: bytes, host: Host, password: Secret, gate: PasswordGate) -> None:
        """Start sudo; if it asks, on our stream and with our mark, wait for the gate and send the password once.

        A host whose sudo does not ask, or hangs before it does, never takes the others' turn.
        """
        prompt, ready = f"{self.mark} password".encode(), f"{self.mark} ready\n".encode()
        try:
            self.channel.send(f"password {len(data)}\n".encode())
            asked = self.channel.receive(prompt, ready)[1] == prompt
            if asked and not self._try_password(password, host, gate, prompt, ready):
                raise RemoteError(f"wrong sudo password for {self.channel.user}", "nothing was changed there")
        except ShellEndedError as error:
            raise RemoteError(f"sudo refused {self.channel.user}: {error.problem}", _SUDOERS) from error
        self.channel.send(data)

    def _try_password(self, password: Secret, host: Host, gate: PasswordGate, prompt: bytes, ready: bytes) -> bool:
        """Send the password when the gate lets this host try it; return False if sudo asks again."""
        gate.enter(host.name, self.channel.keep_alive)
        accepted: bool | None = None
        try:
            self.channel.send(f"{password}\n".encode())
            accepted = self.channel.receive(prompt, ready)[1] == ready
            return accepted
        except ShellEndedError as error:
            accepted = False if _INCORRECT.search(error.problem) else None  # passwd_tries=1: it does not ask again
            raise
        finally:
            gate.leave(host.name, accepted)

    def _reply(self, known: Facts | None = None) -> Facts:
        self.channel.receive(f"{self.mark} begin\n".encode())
        try:
            body = self.channel.receive(f"{self.mark} end\n".encode())[0]
        except ShellEndedError as error:  # its last words are a piece of the reply
            raise ShellEndedError("the node's shell ended while it replied", "run the same command again") from error
        return reply.parse_reply(body.decode("utf-8", "replace").replace(self.mark, "=="), known)


_INCORRECT = re.compile("(?i)incorrect (password|authentication)")  # the messages of sudo and of sudo-rs
_FINISH = "run the same command again, and it finishes; or take back what was done: fab -H NODE rollback"
_SUDOERS = "see sudo -l on the node: this needs a root shell (sh) through sudo without a terminal"
NodeStep = Callable[[Conversation, Host, StepContext], NodeResult]
