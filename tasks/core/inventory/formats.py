"""The formats of inventories, told apart by their text."""

from __future__ import annotations

import re
from enum import StrEnum

_YAML_KEY = re.compile(r"['\"]?[\w.-]+['\"]?\s*:(\s+#.*)?")


class InventoryFormat(StrEnum):
    """A format of inventories that Ansible reads, in the words of our messages."""

    INI = "INI"
    YAML = "YAML"
    JSON = "JSON"
    TOML = "a TOML file"
    SCRIPT = "a script (a dynamic inventory)"
    BINARY = "a binary file"


def detect_format(text: str, source: str) -> tuple[InventoryFormat, int]:
    """Return an inventory's format and the line that shows it; line 0 means the whole file.

    source: the file's path. Whatever is not one of the other formats is INI.
    """
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    number, first = next(((number, line) for number, line in lines if line and line[0] not in ";#"), (0, ""))
    if "\0" in text:
        return InventoryFormat.BINARY, 0
    if text.startswith("#!"):
        return InventoryFormat.SCRIPT, 1
    if source.endswith(".toml"):
        return InventoryFormat.TOML, 0
    if first.startswith("{"):
        return InventoryFormat.JSON, number
    if first == "---" or first.startswith("%YAML") or _YAML_KEY.fullmatch(first):
        return InventoryFormat.YAML, number
    return InventoryFormat.INI, 0
