"""Who is at work here, and when: what a run leaves on the nodes that it changes."""

from __future__ import annotations

import getpass
import re
import secrets
import socket
from datetime import UTC, datetime

from tasks.core.protocol.lock import ChangeId


def new_change_id(verb: str = "apply") -> ChangeId:
    """This user's run of a verb, beginning now. Two runs in one second differ by their last four digits."""
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return ChangeId(run, f"{_word(_user())}@{_word(socket.gethostname())}", verb)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's uid that no passwd file knows
        return ""


def _word(text: str) -> str:
    """A name as one plain word: a domain's user may have blanks and backslashes in it."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text)[:64] or "unknown"
