"""The commands to type next: the run that was typed, for fewer nodes or for another verb; old words as new ones."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterator, Mapping, Sequence

from tasks.core.verb import Verb

MAX_COMMAND_LENGTH = 400  # characters of a command line that one still wants to read
CONNECTION_FLAGS = ("--inventory", "--host-keys", "--engine", "--forks", "--timeout", "--serial", "--max-fail")
PROFILE_FLAGS = ("--profile", "--only")

# fab's own flags whose value is a word of its own, which may be a verb's name
_VALUE_FOLLOWS = (
    *("-c", "--collection", "-D", "--list-depth", "-f", "--config", "-H", "--hosts", "--hide", "-i", "--identity"),
    *("-r", "--search-root", "-S", "--ssh-config", "-t", "--connect-timeout", "-T", "--command-timeout"),
)


def retry_command(words: Sequence[str], report: str, hosts: str) -> str:
    """Return the command that does again only what was not done.

    words: the command line of the run, program first. report: where its report is, if it has one; else the nodes,
    folded, take the place of those of -H. Empty if the line would be too long to read.
    """
    if report:
        return shlex.join([*_without_flags(words, ("--retry",)), "--retry", report])
    return _for_hosts(hosts, words)


def next_command(words: Sequence[str], verb: Verb, hosts: str, verbs: Container[str]) -> str:
    """Return the command that goes on with a verb where a run ended: same profiles, same connection.

    words: the command line of the run, program first. hosts: the nodes, folded. verbs: the names of all verbs. Empty if
    the line would be too long to read.
    """
    at = next(_verb_positions(words, verbs), 0)
    flags = (*PROFILE_FLAGS, *CONNECTION_FLAGS) if verb.uses_profiles else CONNECTION_FLAGS
    return _for_hosts(hosts, [*words[:at], verb.name, *_split_flags(words[at + 1 :], flags)[0]]) if at else ""


def replace_old_words(words: Sequence[str], verbs: Mapping[str, Verb]) -> tuple[list[str], dict[str, str]]:
    """Return a command line in the words of this release, and the old words of it, each with its new one."""
    renamed = dict(pair for verb in verbs.values() for pair in verb.old_words)
    old_verbs = {old: new for old, new in renamed.items() if not old.startswith("-")}
    new_words, found = list(words), {}
    at = next(_verb_positions(words, {*verbs, *old_verbs}), len(words))
    for number, word in enumerate(words[at:], at):
        flag, equals, value = word.partition("=")
        if flag in renamed and (number == at or flag.startswith("-")):
            new_words[number], found[flag] = f"{renamed[flag]}{equals}{value}", renamed[flag]
    return new_words, found


def _verb_positions(words: Sequence[str], verbs: Container[str]) -> Iterator[int]:
    return (at for at, word in enumerate(words) if at and word in verbs and words[at - 1] not in _VALUE_FOLLOWS)


def _for_hosts(hosts: str, words: Sequence[str]) -> str:
    """Return a command line with other nodes than it was typed with."""
    program, *rest = _without_flags(words, ("-H", "--hosts", "--retry"))
    line = shlex.join([program, "-H", hosts, *rest])
    return line if len(line) <= MAX_COMMAND_LENGTH else ""


def _without_flags(words: Sequence[str], flags: tuple[str, ...]) -> list[str]:
    return _split_flags(words, flags)[1]


def _split_flags(words: Sequence[str], flags: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Split off some flags with their values, in each way in which they can be written, from the other words."""
    parts: tuple[list[str], list[str]] = [], []
    value = False
    for word in words:
        alone = word in flags and not value
        joined = any(word.startswith(f"{flag}=" if flag.startswith("--") else flag) for flag in flags)
        parts[not (value or alone or joined)].append(word)
        value = alone
    return parts
