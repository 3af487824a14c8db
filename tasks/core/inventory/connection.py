"""Resolve the connection to a host from an inventory's variables: address, port, user, keys, jumps and become.

Of several variables with one meaning, the last of a tuple below wins, as in Ansible. Of several `-o` settings the
first one counts, as in OpenSSH.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import NamedTuple

from tasks.core.host import Become, HostKeys, SshOptions
from tasks.core.inventory.names import ip_literal, name_problem
from tasks.core.inventory.ssh_args import is_harmless, parse_arguments
from tasks.core.inventory.variables import VariableReader
from tasks.core.redact import redact_text

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

# Some inventories set these. They have no effect here, and each would change the run: so they are reported.
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

_HOST_KEY_WORDS: Mapping[str, HostKeys] = {  # OpenSSH, readconf.c: multistate_strict_hostkey
    "yes": HostKeys.STRICT,
    "true": HostKeys.STRICT,
    "ask": HostKeys.STRICT,
    "accept-new": HostKeys.ACCEPT_NEW,
    "no": HostKeys.OFF,
    "false": HostKeys.OFF,
    "off": HostKeys.OFF,
}


class Connection(NamedTuple):
    """The connection to one host; the fields are those of core.host.Host."""

    address: str
    port: int | None
    user: str | None
    ssh: SshOptions
    become: Become


def resolve_connection(host: str, variables: Mapping[str, object]) -> Connection:
    """Return the connection of one host from its inventory name and its resolved variables.

    The address is the name itself unless a variable sets it. Settings without an effect here are listed in
    `ssh.not_honoured`. Raise VariableError for a value that cannot be used: a port outside 1..65535, a Jinja
    expression, an address with characters no address has.
    """
    reader = VariableReader(host, variables)
    settings = _settings(reader)
    password, become_password = reader.secret(PASSWORD), reader.secret(BECOME_PASSWORD)
    return Connection(
        address=_address(reader),
        port=settings.port,
        user=settings.user,
        ssh=SshOptions(
            key_files=tuple(settings.key_files),
            known_hosts=settings.user_known_hosts or (),
            global_known_hosts=settings.global_known_hosts or (),
            revoked_host_keys=settings.revoked_host_keys,
            host_keys=settings.host_keys,
            proxy_jump=settings.proxy_jump,
            proxy_command=settings.proxy_command,
            connect_timeout=settings.timeout,
            password=password,
            not_honoured=tuple(map(redact_text, (*_unsupported(reader), *settings.ignored, *reader.unset))),
        ),
        become=Become(wanted=reader.boolean(BECOME), password=become_password),
    )


def strict_host_key_checking(word: str) -> HostKeys:
    """Return the check that a word of ssh's StrictHostKeyChecking asks for. Raise ValueError for any other word."""
    found = _HOST_KEY_WORDS.get(word.lower())
    if found is None:
        raise ValueError(f"StrictHostKeyChecking: expected one of {', '.join(_HOST_KEY_WORDS)}, got {word!r}")
    return found


def _address(reader: VariableReader) -> str:
    variable, text = reader.plain(ADDRESS)
    if not variable:
        variable, text = "its name", reader.host
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    problem = name_problem(bare)
    if not problem and ("[" in bare or "]" in bare or "@" in bare):
        problem = f"{text!r} is not a name or an address"
    if not problem and ":" in bare and not isinstance(ip_literal(bare), IPv6Address):
        problem = f"{text!r} is neither a name nor an IPv6 address; a port belongs in ansible_port"
    if problem:
        raise reader.error(variable, problem)
    return bare


@dataclass(slots=True)
class _Settings:
    """The settings of variables and -o options, filled in the order in which OpenSSH would read them."""

    port: int | None = None
    user: str | None = None
    key_files: list[str] = field(default_factory=list)
    user_known_hosts: tuple[str, ...] | None = None
    global_known_hosts: tuple[str, ...] | None = None
    host_keys: HostKeys | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    timeout: float | None = None
    revoked_host_keys: str = ""
    ignored: list[str] = field(default_factory=list)


def _settings(reader: VariableReader) -> _Settings:
    settings = _Settings()
    for variable in ARGUMENTS_FIRST:
        _apply_arguments(settings, reader, variable)
    _apply_variables(settings, reader)
    for variable in ARGUMENTS_LAST:
        _apply_arguments(settings, reader, variable)
    return settings


def _apply_variables(settings: _Settings, reader: VariableReader) -> None:
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


def _apply_arguments(settings: _Settings, reader: VariableReader, variable: str) -> None:
    for flag, key, value in parse_arguments(reader, variable):
        apply = _HONOURED.get(key.lower())
        if apply is not None and value:
            apply(settings, reader, variable, value)
        elif not is_harmless(key, value):
            settings.ignored.append(f"{flag} ({variable})")


def _set_port(settings: _Settings, reader: VariableReader, variable: str, value: str) -> None:
    port = reader.checked_port(variable, value)
    settings.port = settings.port or port


def _set_user(settings: _Settings, reader: VariableReader, variable: str, value: str) -> None:
    settings.user = settings.user or reader.name(variable, value)


def _add_key_file(settings: _Settings, _reader: VariableReader, _variable: str, value: str) -> None:
    settings.key_files.append(value)


def _set_user_known_hosts(settings: _Settings, _reader: VariableReader, _variable: str, value: str) -> None:
    if settings.user_known_hosts is None:
        settings.user_known_hosts = tuple(value.split())


def _set_global_known_hosts(settings: _Settings, _reader: VariableReader, _variable: str, value: str) -> None:
    if settings.global_known_hosts is None:
        settings.global_known_hosts = tuple(value.split())


def _set_revoked_host_keys(settings: _Settings, _reader: VariableReader, _variable: str, value: str) -> None:
    settings.revoked_host_keys = settings.revoked_host_keys or value


def _set_host_keys(settings: _Settings, reader: VariableReader, variable: str, value: str) -> None:
    try:
        mode = strict_host_key_checking(value)
    except ValueError as error:
        raise reader.error(variable, str(error)) from None
    settings.host_keys = settings.host_keys or mode


def _set_proxy_jump(settings: _Settings, _reader: VariableReader, variable: str, value: str) -> None:
    if settings.proxy_command is not None:
        settings.ignored.append(f"-o ProxyJump={value} ({variable}): ProxyCommand comes first")
    else:
        settings.proxy_jump = settings.proxy_jump or value


def _set_proxy_command(settings: _Settings, _reader: VariableReader, variable: str, value: str) -> None:
    if settings.proxy_jump is not None:
        settings.ignored.append(f"-o ProxyCommand={value} ({variable}): ProxyJump comes first")
    else:
        settings.proxy_command = settings.proxy_command or value


def _set_timeout(settings: _Settings, reader: VariableReader, variable: str, value: str) -> None:
    seconds = reader.checked_seconds(variable, value)
    settings.timeout = settings.timeout or seconds


_HONOURED: Mapping[str, Callable[[_Settings, VariableReader, str, str], None]] = {
    "port": _set_port,
    "user": _set_user,
    "identityfile": _add_key_file,
    "userknownhostsfile": _set_user_known_hosts,
    "globalknownhostsfile": _set_global_known_hosts,
    "revokedhostkeys": _set_revoked_host_keys,
    "stricthostkeychecking": _set_host_keys,
    "proxyjump": _set_proxy_jump,
    "proxycommand": _set_proxy_command,
    "connecttimeout": _set_timeout,
}


def _unsupported(reader: VariableReader) -> Iterator[str]:
    """Yield a short text for each variable that asks for another way than SSH and sudo to root."""
    for names, accepted, reason in (
        (CONNECTION, SSH_CONNECTIONS, "hosts are always reached over SSH"),
        (BECOME_METHOD, SUDO, "only sudo is supported"),
        (BECOME_USER, frozenset({"root"}), "only root is supported"),
    ):
        variable, text = reader.plain(names)
        if text and text not in accepted:
            yield f"{variable}={text} ({reason})"
    for variable in UNSUPPORTED:
        if reader.variables.get(variable):
            yield f"{variable} (has no effect here)"
