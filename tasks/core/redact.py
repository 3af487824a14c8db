"""Redact secrets: the names that tell of one, and variables without their values."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A pattern of the words that tell of a secret in a name. The path of a key file is not a secret, nor is bypass_list.
_KEYS = "(?:private|api|auth|access|certificate|encryption|signing)_?key(?!_?(?:file|path))"
_SHORT = r"(?<![a-z])(?:pass|pw|pwd|psk)s?(?![a-z])|(?:pass|pwd)(?!\w)"
SECRET_WORDS = f"{_SHORT}|passwd|password|passphrase|secret|token|credential|{_KEYS}"
_NAME = re.compile(SECRET_WORDS, re.IGNORECASE)


# A password in a value: `scheme://user:password@host`, where a port and a slash are not one, and `sshpass -p password`.
# The lengths are limited because the time would grow with their square.
_URL_PASSWORD = re.compile(r"(://[^/\s:@]{0,128}+:)(?![0-9]{1,5}/)[^\s@]{0,1024}+(?:@[^\s@/]{0,256}+(?=@)){0,8}@")
_SSHPASS_PASSWORD = re.compile(r"(\bsshpass\s+-p\s*)(?:'[^']*'|\"[^\"]*\"|\S+)")


def redact_text(text: str) -> str:
    """Return a text with `[secret]` for the passwords of URLs and of sshpass."""
    return _SSHPASS_PASSWORD.sub(r"\1[secret]", _URL_PASSWORD.sub(r"\1[secret]@", text))


def redact(name: str, value: object) -> object:
    """Return a variable's value with `[secret]` for what its name, or a name or a URL inside it, says is secret."""
    if _NAME.search(name):
        return "[secret]"
    if isinstance(value, dict):
        return {str(key): redact(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [redact("", inner) for inner in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_variables(variables: Mapping[str, object]) -> dict[str, object]:
    """Return the variables that hold nothing secret; the others are left out as a whole."""
    return {name: value for name, value in variables.items() if redact(name, value) == value}


_SECRET_NAME = re.compile(rf"({SECRET_WORDS})s?$", re.IGNORECASE)


def is_secret_name(variable: str) -> bool:
    """Return True if a variable of this name is kept out of every message: `ansible_password`, `DB_SECRET`."""
    return bool(_SECRET_NAME.search(variable))


def parse_password(text: str) -> Secret | None:
    """Return a password of one line as a Secret; None if it is empty.

    The newline at the end of a YAML block does not belong to it. Raise ValueError for any other line break and for
    NUL: sudo would take the rest for its next input. The error does not show the text.
    """
    line = re.sub(r"\r?\n\Z", "", text)
    if bad := re.search(r"[\r\n\0]", line):
        raise ValueError(f"expected one line, got a {'NUL' if bad[0] == chr(0) else 'line break'} in it")
    return Secret(line) if line else None


class Secret(str):
    """A password or passphrase. The repr of a record and a traceback's locals do not show its text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "[secret]"
