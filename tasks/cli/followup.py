"""The commands to type next: the run that was typed, for fewer nodes or for another verb."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

MAX_COMMAND_LENGTH = 400  # characters of a command line that one still wants to read
VERBS = ("plan", "apply", "verify", "fix", "rollback", "show", "hosts")
CONNECTION_FLAGS = ("--inventory", "--host-keys", "--engine", "--forks", "--timeout", "--serial", "--max-fail")
PROFILE_FLAGS = ("--profile", "--only")

# fab's own flags whose value is a word of its own, which may be a verb's name
_VALUE_FOLLOWS = (
    *("-c", "--collection", "-D", "--list-depth", "-f", "--config", "-H", "--hosts", "--hide", "-i", "--identity"),
    *("-r", "--search-root", "-S", "--ssh-config", "-t", "--connect-timeout", "-T", "--command-timeout"),
)


def retry_command(words: Sequence[str], report: str, hosts: str) -> str:
    """The command that does again only what was not done.

    words: the command line of the run, program first. report: where its report is, if it has one; else the nodes,
    folded, take the place of what -H said. Empty if the line would be too long to read.
    """
    if report:
        return shlex.join([*_without_flags(words, ("--retry",)), "--retry", report])
    return _for_hosts(hosts, words)


def next_command(words: Sequence[str], verb: str, hosts: str) -> str:
    """The command that goes on with a verb where a run ended: with the same profiles, by the same way.

    words: the command line of the run, program first. hosts: the nodes, folded. Empty if the line would be too long to
    read.
    """
    verbs = (at for at, word in enumerate(words) if at and word in VERBS and words[at - 1] not in _VALUE_FOLLOWS)
    at = next(verbs, 0)
    flags = CONNECTION_FLAGS if verb in ("fix", "rollback") else (*PROFILE_FLAGS, *CONNECTION_FLAGS)
    return _for_hosts(hosts, [*words[:at], verb, *_split_flags(words[at + 1 :], flags)[0]]) if at else ""


def _for_hosts(hosts: str, words: Sequence[str]) -> str:
    """A command line with other nodes than it was typed with."""
    program, *rest = _without_flags(words, ("-H", "--hosts", "--retry"))
    line = shlex.join([program, "-H", hosts, *rest])
    return line if len(line) <= MAX_COMMAND_LENGTH else ""


def _without_flags(words: Sequence[str], flags: tuple[str, ...]) -> list[str]:
    return _split_flags(words, flags)[1]


def _split_flags(words: Sequence[str], flags: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Some flags with their values, in each way in which they can be written; and the other words."""
    parts: tuple[list[str], list[str]] = [], []
    value = False
    for word in words:
        alone = word in flags and not value
        joined = any(word.startswith(f"{flag}=" if flag.startswith("--") else flag) for flag in flags)
        parts[not (value or alone or joined)].append(word)
        value = alone
    return parts
