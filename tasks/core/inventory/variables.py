"""Read typed values from a host's variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.core.errors import VariableError
from tasks.core.inventory.names import name_problem, port_number
from tasks.core.redact import Secret, parse_password

TRUE_WORDS = frozenset({"y", "yes", "on", "1", "true", "t"})
FALSE_WORDS = frozenset({"n", "no", "off", "0", "false", "f"})


class UnsafeText(str):
    """A text that Ansible takes as it is (!unsafe), `{{ }}` or not."""

    __slots__ = ()


class UnsafeSecret(Secret, UnsafeText):
    """A password that is taken as it is."""

    __slots__ = ()


EXPRESSION_PROBLEM = "holds a Jinja expression; expressions are not evaluated here, write the value"
_REFERENCE = re.compile(r"\s*\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}\s*")


def holds_expression(value: object) -> bool:
    """Return True for a text with `{{` or `{%`, and for a list or dictionary with such a text in it."""
    if isinstance(value, dict):
        return any(holds_expression(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return any(map(holds_expression, value))
    return isinstance(value, str) and not isinstance(value, UnsafeText) and ("{{" in value or "{%" in value)


@dataclass(slots=True)
class VariableReader:
    """A typed reader of one host's variables; None and absent are the same, as in Ansible.

    unset: a short text for each password that is a reference to a variable without a value.
    """

    host: str
    variables: Mapping[str, object]
    unset: list[str] = field(default_factory=list)

    def find(self, names: tuple[str, ...]) -> tuple[str, object] | None:
        """Return the last of some variables that is set, and its value; None if none is."""
        found = [(name, self.variables[name]) for name in names if self.variables.get(name) is not None]
        return found[-1] if found else None

    def error(self, variable: str, problem: str) -> VariableError:
        """Return the error that names the host and the variable."""
        return VariableError(self.host, variable, problem)

    def plain(self, names: tuple[str, ...]) -> tuple[str, str]:
        """Return the variable that counts and its text; ("", "") if none is set."""
        found = self.find(names)
        return (found[0], self._literal(*found)) if found else ("", "")

    def _literal(self, variable: str, value: object) -> str:
        """Return a value as text. Raise VariableError for a list, a dictionary or an expression."""
        if isinstance(value, (list, tuple, dict, set)):
            raise self.error(variable, f"expected a text, got a {type(value).__name__}")
        if holds_expression(value):
            raise self.error(variable, EXPRESSION_PROBLEM)
        return str(value)

    def text(self, names: tuple[str, ...]) -> str | None:
        """Return a value as text; None if it is not set or empty."""
        return self.plain(names)[1] or None

    def secret(self, names: tuple[str, ...]) -> Secret | None:
        """Return a value as a Secret; None if it is not set or empty. Raise VariableError for a line break in it.

        `{{ name }}` is the value of that variable. Without one, as where Ansible's vault has it, the password counts as
        not set and the reference is added to `unset`.
        """
        found = self.find(names)
        value = self._referenced(*found) if found else None
        if found is None or value is None:
            return None
        try:
            return parse_password(self._literal(found[0], value))
        except ValueError as error:
            raise self.error(found[0], str(error)) from None

    def _referenced(self, variable: str, value: object) -> object:
        """Return the value that a chain of references leads to; None if it leads to no value."""
        seen: set[str] = set()
        while isinstance(value, str) and not isinstance(value, UnsafeText) and (match := _REFERENCE.fullmatch(value)):
            name = match[1]
            if name in seen:
                raise self.error(variable, f"expected a value, got {name}, which refers to itself")
            seen.add(name)
            value = self.variables.get(name)
            if value is None:
                self.unset.append(f"{variable}: {name} is not set (encrypted values are not read)")
        return value

    def boolean(self, names: tuple[str, ...]) -> bool | None:
        """Return a value as a boolean, by Ansible's words; None if it is not set."""
        variable, text = self.plain(names)
        if not variable:
            return None
        word = text.strip().lower()
        if word not in TRUE_WORDS | FALSE_WORDS:
            raise self.error(variable, f"expected yes or no, got {text!r}")
        return word in TRUE_WORDS

    def port(self, names: tuple[str, ...]) -> int | None:
        """Return a value as a port; None if it is not set."""
        variable, text = self.plain(names)
        return self.checked_port(variable, text) if variable else None

    def checked_port(self, variable: str, text: str) -> int:
        """Return a text as a port, 1 to 65535. Raise VariableError for anything else."""
        port = port_number(text.strip())
        if port is None:
            raise self.error(variable, f"expected a port from 1 to 65535, got {text!r}")
        return port

    def seconds(self, names: tuple[str, ...]) -> float | None:
        """Return a value as seconds; None if it is not set."""
        variable, text = self.plain(names)
        return self.checked_seconds(variable, text) if variable else None

    def checked_seconds(self, variable: str, text: str) -> float:
        """Return a text as seconds above 0. Raise VariableError for anything else."""
        if not re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]+)?\s*", text) or float(text) <= 0:
            raise self.error(variable, f"expected a number of seconds above 0, got {text!r}")
        return float(text)

    def name(self, variable: str, text: str) -> str:
        """Return a text if SSH may be given it as a name. Raise VariableError otherwise."""
        problem = name_problem(text, allowed="\\")  # DOMAIN\user is a user
        if problem:
            raise self.error(variable, problem)
        return text
