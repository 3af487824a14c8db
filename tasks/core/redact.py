"""Redact secrets: the names that tell of one, and variables without their values."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A pattern of the words that tell of a secret in a name. The path of a key file is not a secret, nor is bypass_list.
SECRET_WORDS = "(?<![a-z])pass(?![a-z])|pass$|passwd|password|passphrase|secret|token|credential|private_key(?!_file)"  # noqa: S105 # a pattern of names
_NAME = re.compile(SECRET_WORDS, re.IGNORECASE)


def redact(name: str, value: object) -> object:
    """Return a variable's value with `[secret]` for it, or for the values inside it, whose name tells of a secret."""
    if _NAME.search(name):
        return "[secret]"
    if isinstance(value, dict):
        return {str(key): redact(str(key), inner) for key, inner in value.items()}
    return [redact("", inner) for inner in value] if isinstance(value, list) else value


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
