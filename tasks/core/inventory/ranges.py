"""Expand ranges of host names, such as n[01:20]."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from ipaddress import IPv6Address

from tasks.core.inventory.names import ip_literal

RANGE_LIMIT = 65_536  # more hosts than this from one line are taken for a typing mistake

_RANGE = r"\[(?:[0-9]+:[0-9]+|[A-Za-z]:[A-Za-z])(?::[0-9]+)?\]"
_HEX_RANGE = r"\[[0-9A-Fa-f]+:[0-9A-Fa-f]+(?::[0-9]+)?\]"
_LABEL = r"(?:[^\W_]|\w[\w-]*[^\W_])"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def split_port(text: str) -> tuple[str, str | None]:
    """Split `name:port` and `[address]:port` into name and port digits; return (text, None) without a port.

    The name may hold ranges. A text whose name part could not be a host is not split, as in Ansible.
    """
    name, port = text, None
    bracketed = re.fullmatch(r"\[(.+)\]:([0-9]+)", name)
    if bracketed:
        name, port = bracketed[1], bracketed[2]
    plain = re.fullmatch(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)", name)
    if plain:
        name, port = plain[1], plain[2]
    return (name, port) if _could_be_host(name) else (text, None)


def expand_range(text: str) -> Iterator[str]:
    """Yield the names of a host pattern with any number of `[begin:end]` and `[begin:end:step]`, left to right.

    Raise ValueError, whose text names the expected and the given range, for one that cannot be counted or is empty.
    """
    if "[" not in text:
        yield text
        return
    head, _, rest = text.partition("[")
    inside, closed, tail = rest.partition("]")
    if not closed:
        raise ValueError(f"expected a closing ']' for the range, got {text!r}")
    for item in range_items(inside):
        for name in expand_range(tail):
            yield f"{head}{item}{name}"


def range_items(inside: str) -> list[str]:
    """Return the items of the inside of a range's brackets: `01:03` gives 01, 02, 03 and `a:c` gives a, b, c.

    Raise ValueError, whose text names the expected and the given range.
    """
    bounds = inside.split(":")
    if len(bounds) not in (2, 3) or not bounds[1]:
        raise ValueError(f"expected a range [begin:end] or [begin:end:step], got [{inside}]")
    begin, end = bounds[0] or "0", bounds[1]
    step = _range_number(bounds[2], inside) if len(bounds) == 3 else 1
    if step < 1:
        raise ValueError(f"expected a step of 1 or more, got [{inside}]")
    items = _letters(begin, end, step) or _numbers(begin, end, step, inside)
    if not items:
        raise ValueError(f"expected a range that counts upwards, got [{inside}]")
    return items


def _letters(begin: str, end: str, step: int) -> list[str]:
    letters = string.ascii_letters
    if not (len(begin) == len(end) == 1 and begin in letters and end in letters):
        return []
    if letters.index(begin) > letters.index(end):
        raise ValueError(f"expected a range that counts upwards, got [{begin}:{end}]")
    return list(letters[letters.index(begin) : letters.index(end) + 1 : step])


def _numbers(begin: str, end: str, step: int, inside: str) -> list[str]:
    width = len(begin) if begin[0] == "0" and len(begin) > 1 else 0
    if width and width != len(end):
        raise ValueError(f"expected begin and end of a padded range to be of equal length, got [{inside}]")
    numbers = range(_range_number(begin, inside), _range_number(end, inside) + 1, step)
    if numbers and numbers[-1] - numbers[0] > RANGE_LIMIT * step:
        raise ValueError(f"expected a range of at most {RANGE_LIMIT} hosts, got [{inside}]")
    return [str(number).zfill(width) for number in numbers]


def _range_number(text: str, inside: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(f"expected a range of numbers or of single letters, got [{inside}]")
    return int(text)


def _could_be_host(name: str) -> bool:
    as_name = re.sub(_RANGE, "0", name)
    as_address = re.sub(_HEX_RANGE, "0", name)
    return bool(_HOST_NAME.fullmatch(as_name)) or isinstance(ip_literal(as_address), IPv6Address)


def expand_bounded(pattern: str) -> list[str]:
    """Return the names of a host pattern. Raise ValueError for more than RANGE_LIMIT of them."""
    names: list[str] = []
    for name in expand_range(pattern):
        names.append(name)
        if len(names) > RANGE_LIMIT:
            raise ValueError(f"expected at most {RANGE_LIMIT} hosts from one line, got more from {pattern!r}")
    return names
