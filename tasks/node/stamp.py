"""The identity of a run, as it is left on the nodes that it changes: user, machine, time."""

from __future__ import annotations

import getpass
import re
import secrets
import socket
from datetime import UTC, datetime

from tasks.core.protocol.lock import ChangeId


def new_change_id(verb: str, now: datetime) -> ChangeId:
    """Return the identity of this user's run of a verb that begins `now`.

    Two runs that begin in the same second differ by their last four digits, which are random.
    """
    run = f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return ChangeId(run, f"{_word(_user())}@{_word(socket.gethostname())}", verb)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's uid that no passwd file knows
        return ""


def _word(text: str) -> str:
    """Return a name as one plain word: the name of a domain's user may hold blanks and backslashes."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text)[:64] or "unknown"
