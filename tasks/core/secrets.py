"""Names that tell of a secret, and inventory variables without what is nobody's business."""

from __future__ import annotations

import re
from collections.abc import Mapping

# As a pattern, the words that tell of a secret in a name; where a key's file lies is none, nor is bypass_list.
WORDS = "(?<![a-z])pass(?![a-z])|pass$|passwd|password|passphrase|secret|token|credential|private_key(?!_file)"
_NAME = re.compile(WORDS, re.IGNORECASE)


def masked(name: str, value: object) -> object:
    """A variable without what its name, or a name inside it, says is secret."""
    if _NAME.search(name):
        return "[secret]"
    if isinstance(value, dict):
        return {str(key): masked(str(key), inner) for key, inner in value.items()}
    return [masked("", inner) for inner in value] if isinstance(value, list) else value


def without_secrets(variables: Mapping[str, object]) -> dict[str, object]:
    """The variables that hold nothing secret; the others are left out as a whole."""
    return {name: value for name, value in variables.items() if masked(name, value) == value}
