"""What of a run has to be done again, read from its report; and the command that goes on from it, as it was typed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from tasks.core.errors import SourceError
from tasks.core.model import Status
from tasks.core.report import unfinished

LONGEST = 400  # characters of a command line that one still wants to read
VERBS = ("plan", "apply", "verify", "fix", "rollback", "show", "hosts")
_WAY = ("--inventory", "--host-keys", "--engine", "--forks", "--timeout", "--serial", "--max-fail")
_WANTED = ("--profile", "--only")
# fab's own flags whose value is a word of its own, which may be a verb's name
_VALUE_FOLLOWS = (
    *("-c", "--collection", "-D", "--list-depth", "-f", "--config", "-H", "--hosts", "--hide", "-i", "--identity"),
    *("-r", "--search-root", "-S", "--ssh-config", "-t", "--connect-timeout", "-T", "--command-timeout"),
)
_OWN_REPORT = "the report of an earlier run (--report FILE)"


def names(text: str, source: str) -> tuple[str, ...]:
    """The nodes of a report that failed, were unreachable, or were not done because the run ended before.

    In the order of that run's selection. source: the file as the admin knows it. Raises SourceError for a text that is
    no report.
    """
    try:
        nodes = json.loads(text, object_hook=_without_items)["nodes"]
        told = [(node["host"], Status(node["status"]), node["same_as"]) for node in nodes]
    except json.JSONDecodeError as error:
        raise SourceError(source, error.lineno, f"expected {_OWN_REPORT}, got no JSON: {error.msg}") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise SourceError(source, 0, f"expected {_OWN_REPORT}, got another JSON document") from None
    if not all(isinstance(host, str) for host, _, _ in told):
        raise SourceError(source, 0, f"expected {_OWN_REPORT}, got a node whose host is no text")
    again = tuple(host for host, status, same_as in told if unfinished(status, same_as))
    if not again:
        raise SourceError(source, 0, f"nothing to do again: all of its {len(told)} nodes are done")
    return again


def _without_items(found: dict[str, object]) -> object:
    """A report's object as it is read, but of modules, keys and files nothing is kept: there are 200,000 of them."""
    return None if "kind" in found else found


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
