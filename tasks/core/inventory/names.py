"""Names of hosts and users, ports and addresses that SSH may be given."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

# A shell could take these for more than a part of a name: ProxyCommand gets %h and %r through one.
_SHELL_CHARACTERS = frozenset("'\"`$;&<>|(){}\\#~^=!*?,/%")


def name_problem(name: str, allowed: str = "") -> str:
    """Return the reason why a text cannot be a host's name, an address or a user; empty if it can.

    Refused is every character that a shell or a terminal could take for something else, but for those in `allowed`.
    A scoped IPv6 address (`fe80::1%eth0`) is a name.
    """
    if not name:
        return "it is empty"
    if name.startswith("-"):
        return f"{name!r} starts with a dash, like an option"
    refused = _SHELL_CHARACTERS - set(allowed) - (set("%") if ip_literal(name) else set())
    bad = [char for char in name if char.isspace() or not char.isprintable() or char in refused]
    return f"{name!r} holds {bad[0]!r}, which no host or user name has" if bad else ""


def ip_literal(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IPv4 or a bare IPv6 address; None if the text is neither."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def port_number(text: str) -> int | None:
    """Return a port, 1 to 65535 in plain digits; None if the text is not one."""
    plain = re.fullmatch(r"[0-9]{1,5}", text)
    return int(text) if plain and 1 <= int(text) <= 65535 else None
