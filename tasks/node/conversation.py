"""The requests and replies of one channel to one node, with sudo where a change needs it."""

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
from tasks.node.sudo import PasswordGate, passwordless


class Channel(Protocol):
    """What a conversation needs of a session."""

    @property
    def user(self) -> str:
        """Who is logged in."""

    @property
    def seconds_left(self) -> float:
        """Until the host's deadline."""

    def start(self, command: str, data: bytes) -> None:
        """Runs a command with the beginning of its stdin."""

    def send(self, data: bytes) -> None:
        """Sends more stdin."""

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """Output up to one of `ends`, and which."""


class Conversation:
    """The requests and replies of one channel, with one random mark. had_lock: it has had the node's."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.mark = script.new_mark()
        self.has_shell = False
        self.known: set[str] = set()  # the parts of the script that the node's shell has
        self.had_lock = False
        self.window = (0.0, 0.0)  # our monotonic seconds before the last question and after its answer

    def ask(self, lines: Sequence[str]) -> Facts:
        """Sends a request that reads, as the login user, and returns what it found."""
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
        """Sends a request that changes, as root, and returns what it found afterwards.

        facts: of an earlier look; what the request does not ask anew (`rescan`) is taken from them.
        """
        if facts.uid != 0:
            self.known.clear()  # root's shell is another one
        data = self._request(lines, changes=True)
        password = host.become.password or context.password
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
            return self._reply(facts if protocol.RESCAN in lines else None)
        except ShellEndedError as error:
            raise RemoteError(f"in the middle of a change, {error.problem}", _FINISH) from error

    def _request(self, lines: Sequence[str], *, changes: bool = False) -> bytes:
        return script.request(self.mark, lines, changes=changes, known=self.known)

    def _without_password(self, data: bytes) -> None:
        """sudo without a password, and the request with it: the root shell says that it is there before it reads."""
        try:
            self.channel.send(f"sudo {len(data)}\n".encode() + data)
            self.channel.receive(f"{self.mark} ready\n".encode())
        except ShellEndedError as error:
            if "password" in error.problem:
                raise passwordless(self.channel.user) from error
            raise RemoteError(f"sudo refused {self.channel.user}: {error.problem}", _SUDOERS) from error

    def _with_password(self, data: bytes, host: Host, password: Secret, gate: PasswordGate) -> None:
        """sudo asks on our stream, with our mark; only then the password is sent, and only once."""
        gate.enter(host.name, self.channel.seconds_left)
        accepted: bool | None = None
        prompt, ready = f"{self.mark} password".encode(), f"{self.mark} ready\n".encode()
        try:
            self.channel.send(f"password {len(data)}\n".encode())
            if self.channel.receive(prompt, ready)[1] == prompt:
                self.channel.send(f"{password}\n".encode())
                accepted = self.channel.receive(prompt, ready)[1] == ready
        except ShellEndedError as error:
            accepted = False if _INCORRECT.search(error.problem) else None  # passwd_tries=1: it does not ask again
            raise RemoteError(f"sudo refused {self.channel.user}: {error.problem}", _SUDOERS) from error
        finally:
            gate.leave(host.name, accepted)
        if accepted is False:
            raise RemoteError(f"wrong sudo password for {self.channel.user}", "nothing was changed there")
        self.channel.send(data)

    def _reply(self, known: Facts | None = None) -> Facts:
        self.channel.receive(f"{self.mark} begin\n".encode())
        try:
            body = self.channel.receive(f"{self.mark} end\n".encode())[0]
        except ShellEndedError as error:  # the last it said is a piece of its reply
            raise ShellEndedError("the node's shell ended while it replied", "run the same command again") from error
        return reply.parse_reply(body.decode("utf-8", "replace").replace(self.mark, "=="), known)


_INCORRECT = re.compile("(?i)incorrect (password|authentication)")  # sudo's and sudo-rs's words
_FINISH = "run the same command again, and it finishes; or take back what was done: fab -H NODE rollback"
_SUDOERS = "see sudo -l on the node: this needs a root shell (sh) through sudo without a terminal"
NodeStep = Callable[[Conversation, Host, StepContext], NodeResult]
