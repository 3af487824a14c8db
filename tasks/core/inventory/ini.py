"""Parse Ansible's INI inventories.

`ansible-inventory --list` is the oracle in the tests. Where Ansible silently drops hosts (a range that counts
backwards), this module raises an error.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterable

from tasks.core.inventory.groups import InventoryBuilder
from tasks.core.inventory.inventory import Inventory
from tasks.core.inventory.ranges import expand_bounded, split_port
from tasks.core.redact import is_secret_name

_HEADER = re.compile(r"\[(?P<group>[^:\]\s]+)(:(?P<kind>\w+))?\]\s*(#.*)?")
_CHILD = re.compile(r"(?P<group>[^:\]\s]+)\s*(#.*)?")


def parse_ini(text: str, source: str) -> Inventory:
    """Parse an INI inventory.

    text: the file's content; source: its path as the admin knows it. Raise InventoryError with the line and the
    text that was expected there.
    """
    reader = _IniReader(source)
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.strip()
        if line and line[0] not in ";#":
            reader.read_line(number, line)
    return reader.finish()


class _IniReader:
    """The state of a parse: the section of the current line, and the groups named so far."""

    def __init__(self, source: str) -> None:
        self._builder = InventoryBuilder(source)
        self._declared = {"all", "ungrouped"}
        self._uses: dict[str, tuple[int, str]] = {}
        self._section, self._kind = "ungrouped", "hosts"

    def read_line(self, number: int, line: str) -> None:
        """Parse one line that is neither empty nor a comment."""
        header = _HEADER.fullmatch(line)
        if header:
            self._open_section(number, header["group"], header["kind"] or "hosts")
        elif line.startswith("[") and line.endswith("]"):
            problem = f"expected a section like [group], [group:children] or [group:vars], got {line!r}"
            raise self._builder.error(number, problem)
        elif self._kind == "hosts":
            self._read_hosts(number, line)
        elif self._kind == "vars":
            self._read_group_variable(number, line)
        else:
            self._read_child(number, line)

    def finish(self) -> Inventory:
        """Return the Inventory. Raise InventoryError for a group that is used and never declared."""
        for name, (number, use) in self._uses.items():
            if name not in self._declared:
                problem = f"expected group {name!r} to be declared as [{name}] somewhere: {use}"
                raise self._builder.error(number, problem)
        return self._builder.build()

    def _open_section(self, number: int, group: str, kind: str) -> None:
        if kind not in ("hosts", "children", "vars"):
            raise self._builder.error(number, f"expected a section of kind children or vars, got [{group}:{kind}]")
        self._section, self._kind = group, kind
        self._builder.add_group(group)
        if kind == "vars":
            self._uses.setdefault(group, (number, f"[{group}:vars] sets variables of it"))
        else:
            self._declared.add(group)

    def _read_child(self, number: int, line: str) -> None:
        match = _CHILD.fullmatch(line)
        if not match:
            raise self._builder.error(number, f"expected the name of one group, got {line!r}")
        child = match["group"]
        self._uses.setdefault(child, (number, f"[{self._section}:children] includes it"))
        self._builder.add_child(self._section, child, number)

    def _read_group_variable(self, number: int, line: str) -> None:
        name, equals, text = line.partition("=")
        if not equals:
            raise self._builder.error(number, f"expected key=value, got {_quote_unless_secret(line, line)}")
        self._set([self._section], name.strip(), text.strip(), number)

    def _read_hosts(self, number: int, line: str) -> None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            problem = f"expected a host and key=value pairs, got an open quote ({error})"
            raise self._builder.error(number, problem) from None
        if not words or not words[0]:
            raise self._builder.error(number, f"expected a host name, got {_quote_unless_secret(line, line)}")
        names = self._add_hosts(number, words[0])
        for word in words[1:]:
            key, equals, text = word.partition("=")
            if not equals:
                got = _quote_unless_secret(word, line)
                raise self._builder.error(number, f"expected key=value after the host name, got {got}")
            self._set(names, key, text, number)

    def _add_hosts(self, number: int, pattern: str) -> list[str]:
        names, port = self._host_names(number, pattern)
        for name in names:
            self._builder.add_host(name, self._section, number, port)
        return names

    def _host_names(self, number: int, pattern: str) -> tuple[list[str], int | None]:
        name, port = split_port(pattern)
        if port is None and pattern.endswith(":"):
            raise self._builder.error(number, f"expected a port after the colon of {pattern!r}, got the end")
        if port is not None and not 1 <= int(port[:6]) <= 65535:
            raise self._builder.error(number, f"host {name}: expected a port from 1 to 65535, got {port}")
        if name == "---":
            raise self._builder.error(number, "expected a host name, got '---', which begins a YAML document")
        try:
            return expand_bounded(name), int(port) if port else None
        except ValueError as error:
            raise self._builder.error(number, str(error)) from None

    def _set(self, owners: Iterable[str], name: str, text: str, number: int) -> None:
        try:
            value = _parse_value(text)
        except ValueError as error:
            raise self._builder.error(number, f"{name}: {error}") from None
        for owner in owners:
            self._builder.set_variable(owner, name, value, number)


def _parse_value(text: str) -> object:
    """Return the Python literal that a text is (1, [1, 2], True, 'a b'), or the text if it is not a literal.

    Raise ValueError for a literal that Python itself cannot build, such as a set of lists.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _simplify(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text
    except (TypeError, MemoryError, RecursionError):
        raise ValueError("expected a text or a literal, got a literal that Python cannot build") from None


def _simplify(value: object) -> object:
    """Return a literal in the types that variables have: lists for tuples and sets, text for bytes and complex."""
    if isinstance(value, (list, tuple, set)):
        return [_simplify(item) for item in value]
    if isinstance(value, dict):
        return {key: _simplify(item) for key, item in value.items()}
    if value is ...:
        return "..."
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, complex) else value


def _quote_unless_secret(text: str, line: str) -> str:
    """Return a piece of a line in quotes; a line that holds a secret is not shown."""
    keys = re.findall(r"([\w-]+)\s*=", line)
    return "a line with a secret in it" if any(is_secret_name(key) for key in keys) else repr(text)
