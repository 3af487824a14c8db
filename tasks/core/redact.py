"""Names that tell of a secret, and inventory variables without what is nobody's business."""

from __future__ import annotations

import re
from collections.abc import Mapping

# As a pattern, the words that tell of a secret in a name; where a key's file lies is none, nor is bypass_list.
SECRET_WORDS = "(?<![a-z])pass(?![a-z])|pass$|passwd|password|passphrase|secret|token|credential|private_key(?!_file)"  # noqa: S105 # a pattern of names
_NAME = re.compile(SECRET_WORDS, re.IGNORECASE)


def redact(name: str, value: object) -> object:
    """A variable without what its name, or a name inside it, says is secret."""
    if _NAME.search(name):
        return "[secret]"
    if isinstance(value, dict):
        return {str(key): redact(str(key), inner) for key, inner in value.items()}
    return [redact("", inner) for inner in value] if isinstance(value, list) else value


def redact_variables(variables: Mapping[str, object]) -> dict[str, object]:
    """The variables that hold nothing secret; the others are left out as a whole."""
    return {name: value for name, value in variables.items() if redact(name, value) == value}


_SECRET_NAME = re.compile(rf"({SECRET_WORDS})s?$", re.IGNORECASE)


def is_secret_name(variable: str) -> bool:
    """Says whether a variable of this name is to be kept out of every message: `ansible_password`, `DB_SECRET`."""
    return bool(_SECRET_NAME.search(variable))


def parse_password(text: str) -> Secret | None:
    """A password as one line; None if it is empty.

    The newline that a YAML block ends with is no part of it. Raises ValueError for any other line break and for NUL:
    what reads it would take what follows for the next thing that it was sent. The error does not show the text.
    """
    line = re.sub(r"\r?\n\Z", "", text)
    if bad := re.search(r"[\r\n\0]", line):
        raise ValueError(f"expected one line, got a {'NUL' if bad[0] == chr(0) else 'line break'} in it")
    return Secret(line) if line else None


class Secret(str):
    """A password or passphrase. Its text is never shown by repr, str.format of a record, or a traceback's locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "[secret]"
