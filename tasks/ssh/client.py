"""paramiko's client, with each key file and the agent's list read once a run instead of once a host."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

import paramiko

_Client: Any = paramiko.SSHClient  # the stubs lack members that a subclass needs
_Agent: Any = paramiko.Agent
_LOADING = Lock()  # a cache alone may load twice
_keys: dict[tuple[str, Any, str | None], paramiko.PKey | Exception] = {}


class Client(_Client):  # type: ignore[misc]
    """A client with paramiko's order of logins: the named keys, the agent's, those of ~/.ssh, a password."""

    def __init__(self) -> None:
        super().__init__()
        # The policy holds the host keys. paramiko's own tables create a class for each lookup.
        self._system_host_keys: dict[str, Any] = {}
        self._host_keys: dict[str, Any] = {}

    def _auth(self, username: str, password: str | None, *keys: Any) -> None:
        """Log in. A server whose host key is not the known one gets no password, as OpenSSH does it."""
        if not self._policy.unsafe or password is None:
            super()._auth(username, password, *keys)
            return
        try:
            super()._auth(username, None, *keys)
        except paramiko.SSHException as error:
            problem = f"{error}; no password was sent, because its host key is not the known one"
            raise paramiko.AuthenticationException(problem) from error

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
        with _LOADING:
            return _the_agent()

    @_agent.setter
    def _agent(self, _: None) -> None:
        """Ignore the agent that paramiko opens for each client."""


class _SharedAgent(_Agent):  # type: ignore[misc]
    """The agent's keys, listed once. One request at a time, since its answers carry no identifier."""

    def __init__(self) -> None:
        self._asking = Lock()
        super().__init__()

    def _send_message(self, message: Any) -> Any:
        with self._asking:
            return super()._send_message(message)


_the_agent = cache(_SharedAgent)
