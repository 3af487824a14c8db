"""paramiko's client, with each key file and the agent's list read once a run instead of once a host."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock, local
from typing import Any

import paramiko

from tasks.ssh.deadline import Deadline

_Client: Any = paramiko.SSHClient  # the stubs lack members that a subclass needs
_Agent: Any = paramiko.Agent
_LOADING = Lock()  # a cache alone may load twice
LISTING_SECONDS = 5.0  # for the agent's list of its keys
_NO_ANSWER = "the SSH agent does not answer"
_waiting = local()  # deadline: of the host that this thread serves
_keys: dict[tuple[str, Any, str | None], paramiko.PKey | Exception] = {}


class Client(_Client):  # type: ignore[misc]
    """A client with paramiko's order of logins: the named keys, the agent's, those of ~/.ssh, a password."""

    def __init__(self, deadline: Deadline, agent: str = "", identities: frozenset[bytes] | None = None) -> None:
        """Take the rules for the agent.

        deadline: also for the agent's answers. agent: its socket, "" for $SSH_AUTH_SOCK, "none" for no agent.
        identities: the public keys that may be used of it; None for all.
        """
        super().__init__()
        self._deadline, self._socket, self._identities = deadline, agent, identities
        self._asked: _SharedAgent | None = None
        # The policy holds the host keys. paramiko's own tables create a class for each lookup.
        self._system_host_keys: dict[str, Any] = {}
        self._host_keys: dict[str, Any] = {}

    def _auth(self, username: str, password: str | None, *keys: Any) -> None:
        """Log in. A server whose host key is not the known one gets no password, as OpenSSH does it."""
        withheld = self._policy.unsafe and password is not None
        _waiting.deadline = self._deadline
        try:
            super()._auth(username, None if withheld else password, *keys)
        except paramiko.SSHException as error:
            why = ["no password was sent, because its host key is not the known one"] if withheld else []
            why += [_NO_ANSWER] if self._asked and self._asked.hung else []
            if why:
                raise paramiko.AuthenticationException("; ".join([str(error), *why])) from error
            raise

    def _key_from_filepath(self, filename: str, klass: Any, password: str | None) -> paramiko.PKey:
        """Return the key of a file, read for the first host only: an encrypted one takes 0.1 s of CPU and more."""
        which = (str(filename), klass, password)
        with _LOADING:
            if which not in _keys:
                try:
                    _keys[which] = super()._key_from_filepath(*which)
                except (paramiko.SSHException, OSError, ValueError) as error:
                    _keys[which] = error
        found = _keys[which]
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found

    @property
    def _agent(self) -> Any:
        if self._socket == "none":
            return _Identities(())
        if not _LOADING.acquire(timeout=self._deadline.remaining()):
            return _Identities(())
        try:
            self._asked = _load_agent(self._socket)
            keys = self._asked.get_keys()
        finally:
            _LOADING.release()
        return _Identities(keys if self._identities is None else _only(keys, self._identities))

    @_agent.setter
    def _agent(self, _: None) -> None:
        """Ignore the agent that paramiko opens for each client."""


class _Identities:
    """Keys of an agent, as paramiko's client asks for them."""

    def __init__(self, keys: Sequence[Any]) -> None:
        self._keys = tuple(keys)

    def get_keys(self) -> tuple[Any, ...]:
        """Return the keys."""
        return self._keys


def _only(keys: Sequence[Any], identities: frozenset[bytes]) -> list[Any]:
    return [key for key in keys if key.asbytes() in identities]


def public_keys(files: Sequence[str]) -> frozenset[bytes]:
    """Return the public keys of private key files, read from FILE.pub or, if FILE is one itself, from FILE."""
    found = set()
    for file in files:
        for path in (Path(f"{file}.pub"), Path(file)):
            with contextlib.suppress(OSError, ValueError, IndexError):
                found.add(base64.b64decode(path.read_text(encoding="utf-8").split()[1], validate=True))
                break
    return frozenset(found)


class _SharedAgent(_Agent):  # type: ignore[misc]
    """The agent's keys, listed once. One request at a time, since its answers carry no identifier."""

    def __init__(self, path: str) -> None:
        """Connect to a socket, "" for that of $SSH_AUTH_SOCK. An agent that is not there has no keys, as in OpenSSH."""
        self._asking = Lock()
        self.hung = False  # it did not answer in time, and is not asked again
        paramiko.agent.AgentSSH.__init__(self)
        self._socket = socket.socket(socket.AF_UNIX)  # paramiko's own would stay open where no agent listens
        try:
            self._socket.settimeout(LISTING_SECONDS)
            self._socket.connect(path or os.environ.get("SSH_AUTH_SOCK", ""))
            self._connect(self._socket)
        except (OSError, paramiko.SSHException):
            self._socket.close()

    def _send_message(self, message: Any) -> Any:
        deadline: Deadline | None = getattr(_waiting, "deadline", None)
        seconds = deadline.remaining() if deadline else LISTING_SECONDS
        if self.hung or not self._asking.acquire(timeout=seconds):
            raise paramiko.SSHException(_NO_ANSWER)
        try:  # the list of keys comes at once; a signature may wait for somebody who touches a token
            self._socket.settimeout(seconds if self._keys else min(seconds, LISTING_SECONDS))
            return super()._send_message(message)
        except TimeoutError:
            self.hung = True  # its late answer would be taken for that to the next question
            raise paramiko.SSHException(_NO_ANSWER) from None
        finally:
            self._asking.release()


_load_agent = cache(_SharedAgent)
