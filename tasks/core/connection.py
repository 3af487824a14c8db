"""What an inventory's variables say about reaching a host: address, port, user, keys, jumps and how root is had.

Where several variables mean the same, the last one of a tuple below wins, as in Ansible. OpenSSH's own rule holds for
`-o` settings: the first one given counts.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from tasks.core.errors import UsageError
from tasks.core.model import Become, HostKeys, Secret, SshOptions
from tasks.core.secrets import WORDS

ADDRESS = ("ansible_host", "ansible_ssh_host")
PORT = ("ansible_port", "ansible_ssh_port")
USER = ("ansible_user", "ansible_ssh_user")
PASSWORD = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
KEY_FILE = ("ansible_private_key_file", "ansible_ssh_private_key_file")
HOST_KEY_CHECKING = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")
TIMEOUT = ("ansible_timeout", "ansible_ssh_timeout")
BECOME = ("ansible_become",)
BECOME_USER = ("ansible_become_user", "ansible_sudo_user")
BECOME_METHOD = ("ansible_become_method",)
BECOME_PASSWORD = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
CONNECTION = ("ansible_connection",)

ARGUMENTS_FIRST = ("ansible_ssh_args",)
ARGUMENTS_LAST = ("ansible_ssh_common_args", "ansible_ssh_extra_args")

SSH_CONNECTIONS = frozenset(
    {"ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh"}
)
SUDO = frozenset({"sudo", "ansible.builtin.sudo"})

# Asked for by some inventories, without any effect here, and each would change what happens: so it is said.
UNSUPPORTED = (
    "ansible_become_exe",
    "ansible_become_flags",
    "ansible_sudo_exe",
    "ansible_sudo_flags",
    "ansible_private_key",
    "ansible_ssh_private_key",
    "ansible_private_key_passphrase",
    "ansible_ssh_private_key_passphrase",
)

# ssh_config keys (lower case) that may be left out without a word, each with its reason.
HARMLESS: Mapping[str, str] = {
    "controlmaster": "one connection is made per host, so there is nothing to share",
    "controlpersist": "one connection is made per host, so there is nothing to share",
    "controlpath": "one connection is made per host, so there is nothing to share",
    "compression": "the few kilobytes sent are not worth compressing",
    "serveraliveinterval": "every step has its own deadline",
    "serveralivecountmax": "every step has its own deadline",
    "tcpkeepalive": "every step has its own deadline",
    "loglevel": "ssh's own messages are never shown",
    "batchmode": "nothing is ever asked in the middle of a run",
    "preferredauthentications": "keys come first, then a password when there is one",
    "gssapidelegatecredentials": "no Kerberos login is tried",
    "forwardagent": "nothing on the node logs in elsewhere",
    "forwardx11": "nothing on the node opens a window",
    "requesttty": "no terminal is needed",
}
# ... and those that are harmless only when they switch something off that is never on here.
HARMLESS_WHEN_OFF = frozenset({"gssapiauthentication", "gssapikeyexchange", "identitiesonly", "visualhostkey"})

_HOST_KEY_WORDS: Mapping[str, HostKeys] = {  # OpenSSH, readconf.c: multistate_strict_hostkey
    "yes": HostKeys.STRICT,
    "true": HostKeys.STRICT,
    "ask": HostKeys.STRICT,
    "accept-new": HostKeys.ACCEPT_NEW,
    "no": HostKeys.OFF,
    "false": HostKeys.OFF,
    "off": HostKeys.OFF,
}

_FLAGS_WITH_VALUE = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
_FLAG_KEYS: Mapping[str, str] = {"J": "ProxyJump", "i": "IdentityFile", "p": "Port", "l": "User"}
_QUIET_FLAGS = frozenset("AaCkqTtvxXY")
_DEFAULT_KNOWN_HOSTS = "~/.ssh/known_hosts"

_TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
_FALSE = frozenset({"n", "no", "off", "0", "false", "f"})
_SECRET_NAME = re.compile(rf"({WORDS})s?$", re.IGNORECASE)

# What a shell could take as more than a name: ProxyCommand gets %h and %r through one.
_SHELL = frozenset("'\"`$;&<>|(){}\\#~^=!*?,/%")


class VariableError(UsageError):
    """A connection variable of one host cannot be used. variable: its name, for finding the line it came from."""

    def __init__(self, host: str, variable: str, problem: str) -> None:
        self.host, self.variable, self.problem = host, variable, problem
        super().__init__(f"host {host}: {variable}: {problem}")


class Connection(NamedTuple):
    """What `connection` found out about one host; the fields are those of model.Host."""

    address: str
    port: int | None
    user: str | None
    ssh: SshOptions
    become: Become


def connection(host: str, variables: Mapping[str, object]) -> Connection:
    """Reads the connection variables of one host.

    In: the host's inventory name and its resolved variables. Out: address (the name itself when no variable says
    otherwise), port, user, SSH options and how to become root; what was asked for and has no effect here is listed in
    `ssh.not_honoured`. Raises VariableError for a value that cannot be meant: a port outside 1..65535, a Jinja
    expression, an address with characters no address has.
    """
    reader = _Reader(host, variables)
    settings = _settings(reader)
    return Connection(
        address=_address(reader),
        port=settings.port,
        user=settings.user,
        ssh=SshOptions(
            key_files=tuple(settings.key_files),
            known_hosts=settings.known_hosts() or (),
            host_keys=settings.host_keys,
            proxy_jump=settings.proxy_jump,
            proxy_command=settings.proxy_command,
            connect_timeout=settings.timeout,
            password=reader.secret(PASSWORD),
            not_honoured=(*_unsupported(reader), *settings.ignored),
        ),
        become=Become(wanted=reader.boolean(BECOME), password=reader.secret(BECOME_PASSWORD)),
    )


def is_secret(variable: str) -> bool:
    """Says whether a variable of this name is to be kept out of every message: `ansible_password`, `DB_SECRET`."""
    return bool(_SECRET_NAME.search(variable))


def strict_host_key_checking(word: str) -> HostKeys:
    """What ssh's setting of this name means. Raises ValueError for a word that ssh does not have there."""
    found = _HOST_KEY_WORDS.get(word.lower())
    if found is None:
        raise ValueError(f"StrictHostKeyChecking: expected one of {', '.join(_HOST_KEY_WORDS)}, got {word!r}")
    return found


def secret(text: str) -> Secret | None:
    """A password as one line; None if it is empty.

    The newline that a YAML block ends with is no part of it. Raises ValueError for any other line break and for NUL:
    what reads it would take what follows for the next thing that it was sent. The error does not show the text.
    """
    line = re.sub(r"\r?\n\Z", "", text)
    if bad := re.search(r"[\r\n\0]", line):
        raise ValueError(f"expected one line, got a {'NUL' if bad[0] == chr(0) else 'line break'} in it")
    return Secret(line) if line else None


def name_problem(name: str, allowed: str = "") -> str:
    """Says why a text cannot be a host's name, address or user; empty when it can.

    Whatever a shell or a terminal could take for something else is refused, but for the characters in `allowed`; a
    scoped IPv6 address (`fe80::1%eth0`) is a name.
    """
    if not name:
        return "it is empty"
    if name.startswith("-"):
        return f"{name!r} starts with a dash, like an option"
    refused = _SHELL - set(allowed) - (set("%") if ip_literal(name) else set())
    bad = [char for char in name if char.isspace() or not char.isprintable() or char in refused]
    return f"{name!r} holds {bad[0]!r}, which no host or user name has" if bad else ""


def ip_literal(text: str) -> IPv4Address | IPv6Address | None:
    """Reads an IPv4 or bare IPv6 address; None when the text is neither."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def port_number(text: str) -> int | None:
    """Reads a port, 1 to 65535 in plain digits; None when the text is no such number."""
    plain = re.fullmatch(r"[0-9]{1,5}", text)
    return int(text) if plain and 1 <= int(text) <= 65535 else None


@dataclass(slots=True)
class _Reader:
    """Typed looks into one host's variables; None and absent are the same, as in Ansible."""

    host: str
    variables: Mapping[str, object]

    def find(self, names: tuple[str, ...]) -> tuple[str, object] | None:
        found = [(name, self.variables[name]) for name in names if self.variables.get(name) is not None]
        return found[-1] if found else None

    def error(self, variable: str, problem: str) -> VariableError:
        return VariableError(self.host, variable, problem)

    def plain(self, names: tuple[str, ...]) -> tuple[str, str]:
        """The variable that counts and its text; ("", "") when there is none."""
        found = self.find(names)
        if found is None:
            return "", ""
        variable, value = found
        if isinstance(value, (list, tuple, dict, set)):
            raise self.error(variable, f"expected a text, got a {type(value).__name__}")
        text = str(value)
        if "{{" in text or "{%" in text:
            raise self.error(variable, "holds a Jinja expression; expressions are not evaluated here, write the value")
        return variable, text

    def text(self, names: tuple[str, ...]) -> str | None:
        return self.plain(names)[1] or None

    def secret(self, names: tuple[str, ...]) -> Secret | None:
        variable, text = self.plain(names)
        try:
            return secret(text)
        except ValueError as error:
            raise self.error(variable, str(error)) from None

    def boolean(self, names: tuple[str, ...]) -> bool | None:
        variable, text = self.plain(names)
        if not variable:
            return None
        word = text.strip().lower()
        if word not in _TRUE | _FALSE:
            raise self.error(variable, f"expected yes or no, got {text!r}")
        return word in _TRUE

    def port(self, names: tuple[str, ...]) -> int | None:
        variable, text = self.plain(names)
        return self.checked_port(variable, text) if variable else None

    def checked_port(self, variable: str, text: str) -> int:
        port = port_number(text.strip())
        if port is None:
            raise self.error(variable, f"expected a port from 1 to 65535, got {text!r}")
        return port

    def seconds(self, names: tuple[str, ...]) -> float | None:
        variable, text = self.plain(names)
        return self.checked_seconds(variable, text) if variable else None

    def checked_seconds(self, variable: str, text: str) -> float:
        if not re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]+)?\s*", text) or float(text) <= 0:
            raise self.error(variable, f"expected a number of seconds above 0, got {text!r}")
        return float(text)

    def name(self, variable: str, text: str) -> str:
        problem = name_problem(text, allowed="\\")  # DOMAIN\user is a user
        if problem:
            raise self.error(variable, problem)
        return text


def _address(reader: _Reader) -> str:
    variable, text = reader.plain(ADDRESS)
    if not variable:
        variable, text = "its name", reader.host
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    problem = name_problem(bare)
    if not problem and ("[" in bare or "]" in bare or "@" in bare):
        problem = f"{text!r} is no name or address"
    if not problem and ":" in bare and not isinstance(ip_literal(bare), IPv6Address):
        problem = f"{text!r} is neither a name nor an IPv6 address; a port belongs in ansible_port"
    if problem:
        raise reader.error(variable, problem)
    return bare


@dataclass(slots=True)
class _Settings:
    """What variables and -o settings ask for, filled in the order in which OpenSSH would read them."""

    port: int | None = None
    user: str | None = None
    key_files: list[str] = field(default_factory=list)
    user_known_hosts: tuple[str, ...] | None = None
    global_known_hosts: tuple[str, ...] | None = None
    host_keys: HostKeys | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    timeout: float | None = None
    ignored: list[str] = field(default_factory=list)

    def known_hosts(self) -> tuple[str, ...] | None:
        """The files asked for; naming only the system-wide one does not take the user's own away."""
        if self.global_known_hosts is None:
            return self.user_known_hosts
        return (*(self.user_known_hosts or (_DEFAULT_KNOWN_HOSTS,)), *self.global_known_hosts)


def _settings(reader: _Reader) -> _Settings:
    settings = _Settings()
    for variable in ARGUMENTS_FIRST:
        _apply_arguments(settings, reader, variable)
    _apply_variables(settings, reader)
    for variable in ARGUMENTS_LAST:
        _apply_arguments(settings, reader, variable)
    return settings


def _apply_variables(settings: _Settings, reader: _Reader) -> None:
    user_variable, user = reader.plain(USER)
    if user:
        settings.user = settings.user or reader.name(user_variable, user)
    port = reader.port(PORT)
    settings.port = settings.port or port
    key_file = reader.text(KEY_FILE)
    if key_file:
        settings.key_files.append(key_file)
    if reader.boolean(HOST_KEY_CHECKING) is False:
        settings.host_keys = settings.host_keys or HostKeys.OFF
    timeout = reader.seconds(TIMEOUT)
    settings.timeout = settings.timeout or timeout


def _apply_arguments(settings: _Settings, reader: _Reader, variable: str) -> None:
    for flag, key, value in _options(reader, variable):
        apply = _HONOURED.get(key.lower())
        if apply is not None and value:
            apply(settings, reader, variable, value)
        elif not _is_harmless(key, value):
            settings.ignored.append(f"{flag} ({variable})")


def _is_harmless(key: str, value: str) -> bool:
    lower = key.lower()
    return lower in HARMLESS or (lower in HARMLESS_WHEN_OFF and value.lower() in _FALSE)


def _options(reader: _Reader, variable: str) -> Iterator[tuple[str, str, str]]:
    """Takes ssh's arguments apart: (as written, ssh_config key or "", value) for each that says something."""
    try:
        words = shlex.split(reader.plain((variable,))[1])
    except ValueError as error:
        raise reader.error(variable, f"expected ssh arguments, got an unfinished quote ({error})") from None
    remaining = iter(words)
    for word in remaining:
        flags = word[1:] if word.startswith("-") and len(word) > 1 else ""
        if not flags:
            yield word, "", ""
            continue
        yield from _flags(reader, variable, flags, remaining)


def _flags(reader: _Reader, variable: str, flags: str, remaining: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """One word of ssh's flags: quiet ones may be bundled, the first that takes a value takes the rest."""
    for position, flag in enumerate(flags):
        if flag in _FLAGS_WITH_VALUE:
            value = flags[position + 1 :] or next(remaining, "")
            if not value:
                raise reader.error(variable, f"expected a value after -{flag}, got the end")
            yield _option(flag, value)
            return
        if flag not in _QUIET_FLAGS:
            yield f"-{flag}", "", ""


def _option(flag: str, value: str) -> tuple[str, str, str]:
    if flag != "o":
        return f"-{flag} {value}", _FLAG_KEYS.get(flag, ""), value
    key, _, rest = re.sub(r"\s*=\s*|\s+", "=", value.strip(), count=1).partition("=")
    rest = rest[1:-1] if len(rest) > 1 and rest[0] == rest[-1] == '"' else rest
    return f"-o {key}={rest}", key, rest


def _set_port(settings: _Settings, reader: _Reader, variable: str, value: str) -> None:
    port = reader.checked_port(variable, value)
    settings.port = settings.port or port


def _set_user(settings: _Settings, reader: _Reader, variable: str, value: str) -> None:
    settings.user = settings.user or reader.name(variable, value)


def _add_key_file(settings: _Settings, _reader: _Reader, _variable: str, value: str) -> None:
    settings.key_files.append(value)


def _set_user_known_hosts(settings: _Settings, _reader: _Reader, _variable: str, value: str) -> None:
    if settings.user_known_hosts is None:
        settings.user_known_hosts = tuple(value.split())


def _set_global_known_hosts(settings: _Settings, _reader: _Reader, _variable: str, value: str) -> None:
    if settings.global_known_hosts is None:
        settings.global_known_hosts = tuple(value.split())


def _set_host_keys(settings: _Settings, reader: _Reader, variable: str, value: str) -> None:
    try:
        mode = strict_host_key_checking(value)
    except ValueError as error:
        raise reader.error(variable, str(error)) from None
    settings.host_keys = settings.host_keys or mode


def _set_proxy_jump(settings: _Settings, _reader: _Reader, variable: str, value: str) -> None:
    if settings.proxy_command is not None:
        settings.ignored.append(f"-o ProxyJump={value} ({variable}): ProxyCommand comes first")
    else:
        settings.proxy_jump = settings.proxy_jump or value


def _set_proxy_command(settings: _Settings, _reader: _Reader, variable: str, value: str) -> None:
    if settings.proxy_jump is not None:
        settings.ignored.append(f"-o ProxyCommand={value} ({variable}): ProxyJump comes first")
    else:
        settings.proxy_command = settings.proxy_command or value


def _set_timeout(settings: _Settings, reader: _Reader, variable: str, value: str) -> None:
    seconds = reader.checked_seconds(variable, value)
    settings.timeout = settings.timeout or seconds


_HONOURED: Mapping[str, Callable[[_Settings, _Reader, str, str], None]] = {
    "port": _set_port,
    "user": _set_user,
    "identityfile": _add_key_file,
    "userknownhostsfile": _set_user_known_hosts,
    "globalknownhostsfile": _set_global_known_hosts,
    "stricthostkeychecking": _set_host_keys,
    "proxyjump": _set_proxy_jump,
    "proxycommand": _set_proxy_command,
    "connecttimeout": _set_timeout,
}


def _unsupported(reader: _Reader) -> Iterator[str]:
    """Variables that ask for another way in than SSH and sudo to root, each as a short text."""
    for names, accepted, why in (
        (CONNECTION, SSH_CONNECTIONS, "hosts are always reached over SSH"),
        (BECOME_METHOD, SUDO, "only sudo is known"),
        (BECOME_USER, frozenset({"root"}), "only root is of use"),
    ):
        variable, text = reader.plain(names)
        if text and text not in accepted:
            yield f"{variable}={text} ({why})"
    for variable in UNSUPPORTED:
        if reader.variables.get(variable):
            yield f"{variable} (has no effect here)"
