"""An inventory's format is told by its text, and only TOML's by its name."""

from __future__ import annotations

import pytest

from tasks.core.inventory.formats import InventoryFormat, detect_format

FORMATS = [
    ("---\nall:\n  hosts:\n", 1, InventoryFormat.YAML),
    ("# inventory\nall:\n  hosts:\n    n1:\n", 2, InventoryFormat.YAML),
    ("%YAML 1.2\n---\n", 1, InventoryFormat.YAML),
    ('{"all": {}}\n', 1, InventoryFormat.JSON),
    ("#!/bin/sh\necho\n", 1, InventoryFormat.SCRIPT),
    ("\x7fELF\0\0", 0, InventoryFormat.BINARY),
    ("", 0, InventoryFormat.INI),
    ("; only a comment\n", 0, InventoryFormat.INI),
    ("[web]\nn1\n", 0, InventoryFormat.INI),
    ("n1:22\n", 0, InventoryFormat.INI),
    ("n1\n---\n", 0, InventoryFormat.INI),
]


@pytest.mark.parametrize(("text", "line", "found"), FORMATS)
def test_a_format_is_told_by_the_first_line_that_is_not_a_comment(text: str, line: int, found: InventoryFormat) -> None:
    assert detect_format(text, "hosts.ini") == (found, line)


def test_a_toml_inventory_is_known_by_its_name() -> None:
    assert detect_format("[web.hosts]\n", "hosts.toml") == (InventoryFormat.TOML, 0)
