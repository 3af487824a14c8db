"""The commands to type next: the run that was typed, for fewer nodes or for another verb."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

LONGEST = 400  # characters of a command line that one still wants to read
VERBS = ("plan", "apply", "verify", "fix", "rollback", "show", "hosts")
_WAY = ("--inventory", "--host-keys", "--engine", "--forks", "--timeout", "--serial", "--max-fail")
_WANTED = ("--profile", "--only")

# fab's own flags whose value is a word of its own, which may be a verb's name
_VALUE_FOLLOWS = (
    *("-c", "--collection", "-D", "--list-depth", "-f", "--config", "-H", "--hosts", "--hide", "-i", "--identity"),
    *("-r", "--search-root", "-S", "--ssh-config", "-t", "--connect-timeout", "-T", "--command-timeout"),
)


def command(words: Sequence[str], report: str, hosts: str) -> str:
    """The command that does again only what was not done.

    words: the command line of the run, program first. report: where its report is, if it has one; else the nodes,
    folded, take the place of what -H said. Empty if the line would be too long to read.
    """
    if report:
        return shlex.join([*_without(words, ("--retry",)), "--retry", report])
    return _on(hosts, words)


def going_on(words: Sequence[str], verb: str, hosts: str) -> str:
    """The command that goes on with a verb where a run ended: with the same profiles, by the same way.

    words: the command line of the run, program first. hosts: the nodes, folded. Empty if the line would be too long to
    read.
    """
    verbs = (at for at, word in enumerate(words) if at and word in VERBS and words[at - 1] not in _VALUE_FOLLOWS)
    at = next(verbs, 0)
    flags = _WAY if verb in ("fix", "rollback") else (*_WANTED, *_WAY)
    return _on(hosts, [*words[:at], verb, *_parted(words[at + 1 :], flags)[0]]) if at else ""


def _on(hosts: str, words: Sequence[str]) -> str:
    """A command line with other nodes than it was typed with."""
    program, *rest = _without(words, ("-H", "--hosts", "--retry"))
    line = shlex.join([program, "-H", hosts, *rest])
    return line if len(line) <= LONGEST else ""


def _without(words: Sequence[str], flags: tuple[str, ...]) -> list[str]:
    return _parted(words, flags)[1]


def _parted(words: Sequence[str], flags: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Some flags with their values, in each way in which they can be written; and the other words."""
    parts: tuple[list[str], list[str]] = [], []
    value = False
    for word in words:
        alone = word in flags and not value
        joined = any(word.startswith(f"{flag}=" if flag.startswith("--") else flag) for flag in flags)
        parts[not (value or alone or joined)].append(word)
        value = alone
    return parts
