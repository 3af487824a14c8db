"""Parse the OpenSSH arguments of an inventory, such as ansible_ssh_common_args."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from tasks.core.inventory.variables import FALSE_WORDS, VariableReader

# ssh_config keys (lower case) that are ignored without a message, each with the reason.
HARMLESS: Mapping[str, str] = {
    "controlmaster": "one connection is made per host, so there is nothing to share",
    "controlpersist": "one connection is made per host, so there is nothing to share",
    "controlpath": "one connection is made per host, so there is nothing to share",
    "compression": "the few kilobytes sent are not worth compressing",
    "serveraliveinterval": "every step has its own deadline",
    "serveralivecountmax": "every step has its own deadline",
    "tcpkeepalive": "every step has its own deadline",
    "loglevel": "ssh's own messages are never shown",
    "batchmode": "nothing is ever asked in the middle of a run",
    "preferredauthentications": "keys come first, then a password when there is one",
    "gssapidelegatecredentials": "no Kerberos login is tried",
    "forwardagent": "nothing on the node logs in elsewhere",
    "forwardx11": "nothing on the node opens a window",
    "requesttty": "no terminal is needed",
}

# These are harmless only when they switch something off that is never on here.
HARMLESS_WHEN_OFF = frozenset({"gssapiauthentication", "gssapikeyexchange", "identitiesonly", "visualhostkey"})
_FLAGS_WITH_VALUE = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
_FLAG_KEYS: Mapping[str, str] = {"J": "ProxyJump", "i": "IdentityFile", "p": "Port", "l": "User"}
_QUIET_FLAGS = frozenset("AaCkqTtvxXY")


def is_harmless(key: str, value: str) -> bool:
    """Return True for an OpenSSH setting that may be ignored without a message."""
    lower = key.lower()
    return lower in HARMLESS or (lower in HARMLESS_WHEN_OFF and value.lower() in FALSE_WORDS)


def parse_arguments(reader: VariableReader, variable: str) -> Iterator[tuple[str, str, str]]:
    """Yield (as written, ssh_config key or "", value) for each of ssh's arguments; quiet flags are left out."""
    try:
        words = shlex.split(reader.plain((variable,))[1])
    except ValueError as error:
        raise reader.error(variable, f"expected ssh arguments, got an unfinished quote ({error})") from None
    remaining = iter(words)
    for word in remaining:
        flags = word[1:] if word.startswith("-") and len(word) > 1 else ""
        if not flags:
            yield word, "", ""
            continue
        yield from _flags(reader, variable, flags, remaining)


def _flags(
    reader: VariableReader, variable: str, flags: str, remaining: Iterator[str]
) -> Iterator[tuple[str, str, str]]:
    """Parse one word of ssh's flags: quiet ones may be bundled, the first with a value takes the rest."""
    for position, flag in enumerate(flags):
        if flag in _FLAGS_WITH_VALUE:
            value = flags[position + 1 :] or next(remaining, "")
            if not value:
                raise reader.error(variable, f"expected a value after -{flag}, got the end")
            yield _option(flag, value)
            return
        if flag not in _QUIET_FLAGS:
            yield f"-{flag}", "", ""


def _option(flag: str, value: str) -> tuple[str, str, str]:
    if flag != "o":
        return f"-{flag} {value}", _FLAG_KEYS.get(flag, ""), value
    key, _, rest = re.sub(r"\s*=\s*|\s+", "=", value.strip(), count=1).partition("=")
    rest = rest[1:-1] if len(rest) > 1 and rest[0] == rest[-1] == '"' else rest
    return f"-o {key}={rest}", key, rest
