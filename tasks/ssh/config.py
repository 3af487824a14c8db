"""ssh_config as OpenSSH reads it: by `ssh -G`, run once for all hosts that the same Host and Match patterns select.

Without an OpenSSH client paramiko's reader is used. It reads neither Include nor all of Match, so a file with one of
them is then an error instead of being read by halves.
"""

from __future__ import annotations

import getpass
import glob
import os
import pwd
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from paramiko import SSHConfig

from tasks.core.errors import SourceError, UnreachableError, UsageError
from tasks.ssh.environment import child_environment

USER_FILE, SYSTEM_FILE = "~/.ssh/config", "/etc/ssh/ssh_config"
SECONDS = 10.0  # for `ssh -G`: a Match may run a command or ask the resolver
MAX_DEPTH = 16  # of Include (readconf.c: READCONF_MAX_DEPTH)

# Settings whose tokens `ssh -G` leaves for later: they do not make its answer depend on the host's name.
_LATER = frozenset({"proxycommand", "identityfile", "certificatefile", "controlpath", "remotecommand", "localcommand"})
_LISTS = frozenset({"identityfile", "certificatefile"})
_KEPT = _LISTS | {
    *("hostname", "port", "user", "proxyjump", "proxycommand", "identityagent", "identitiesonly"),
    *("stricthostkeychecking", "userknownhostsfile", "globalknownhostsfile", "hostkeyalias"),
    *("revokedhostkeys", "knownhostscommand", "hostkeyalgorithms"),
}

_Reader: Any = SSHConfig  # the stubs lack members that a subclass needs


class FallbackReader(_Reader):  # type: ignore[misc]
    """paramiko's ssh_config, which expands only values with something to expand, and no ProxyCommand.

    paramiko computes all replacements for each setting of each host, asks the resolver for the local machine's full
    name for %l, and fills a ProxyCommand with ssh_config's port and user where the inventory has others.
    """

    def __init__(self, read: Any) -> None:
        """Take over the entries of a configuration that was read already."""
        super().__init__()
        self._config = read._config  # noqa: SLF001 # the same class

    def _tokenize(self, config: Any, target_hostname: str, key: str, value: str) -> str:
        expands = ("%" in value or "~" in value) and key != "proxycommand"
        return super()._tokenize(config, target_hostname, key, value) if expands else value


class Line(NamedTuple):
    """One line of ssh_config: its keyword in lower case, and its arguments."""

    keyword: str
    words: tuple[str, ...]
    file: str
    number: int


def read_lines(files: Iterable[Path], depth: int = 0) -> Iterator[Line]:
    """Yield the lines of ssh_config files that can be read, and of those that they include."""
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:  # as in OpenSSH, a missing file has no settings
            continue
        for number, raw in enumerate(text.splitlines(), 1):
            words = _split(re.sub(r"^\s*([A-Za-z]+)\s*=\s*", r"\1 ", raw))
            if not words or words[0].startswith("#"):
                continue
            yield Line(words[0].lower(), tuple(words[1:]), str(file), number)
            if words[0].lower() == "include" and depth < MAX_DEPTH:
                yield from read_lines(_included(words[1:], file), depth + 1)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # an unfinished quote; `ssh -G` reports it
        return text.split()


def _included(patterns: Sequence[str], file: Path) -> list[Path]:
    """Return the files of an Include; relative ones are beside the system's file or in ~/.ssh."""
    folder = file.parent if str(file).startswith("/etc/ssh/") else Path("~/.ssh").expanduser()
    paths = [str(folder / Path(pattern).expanduser()) for pattern in patterns]
    return [Path(found) for path in paths for found in sorted(glob.glob(path))]  # noqa: PTH207 # absolute patterns


class SshConfig:
    """The settings of hosts. aliases: the literal names of its Host lines."""

    def __init__(self, fallback: SSHConfig, files: Sequence[str] = (), *, explicit: bool = False) -> None:
        """Read the patterns. Raise SourceError for a file that needs an OpenSSH client where there is none.

        fallback: fabric's reading of the files. explicit: the only file is the one of -S. files: () for none, so that
        the fallback is all there is.
        """
        self._fallback = FallbackReader(fallback)
        self._files = [str(Path(file).expanduser()) for file in files if Path(file).expanduser().is_file()]
        self._explicit = explicit
        self._lock = Lock()
        self._known: dict[object, Mapping[str, Any]] = {}
        self._asking: dict[object, Lock] = {}
        lines = list(read_lines(map(Path, self._files)))
        hosts = [word for line in lines if line.keyword == "host" for word in line.words]
        self.aliases = frozenset(word for word in hosts if not set(word) & set("*?!"))
        self._patterns = [_regex(word) for word in {*hosts, *_match_patterns(lines)}]
        self._by_name = any(_depends_on_name(line) for line in lines)
        self._program = shutil.which("ssh") if self._files else None
        if not self._program:
            _refuse_unreadable(lines)

    def check(self, name: str, user: str = "") -> None:
        """Raise UsageError if the OpenSSH client refuses the files."""
        try:
            self.lookup(name, user)
        except UnreachableError as error:
            raise UsageError(f"{error.problem}; {error.next_step}") from error

    def lookup(self, name: str, user: str = "") -> Mapping[str, Any]:
        """Return the settings of a host by their names in lower case; those of _LISTS are lists.

        user: the inventory's, "" for none; a Match may name it. Raise UnreachableError if `ssh -G` fails.
        """
        if not self._program:
            found: Mapping[str, Any] = self._fallback.lookup(name)
            return found
        lower = name.lower()
        key = (lower if self._by_name else tuple(bool(found.fullmatch(lower)) for found in self._patterns), user)
        with self._lock:
            asking = self._asking.setdefault(key, Lock())
        with asking:  # hosts of other patterns need not wait for this one's answer
            if key not in self._known:
                self._known[key] = self._ask(lower, user)
        return self._known[key]

    def _ask(self, name: str, user: str) -> dict[str, Any]:
        command = [self._program or "", "-G", *(["-l", user] if user else []), *self._file_arguments(), "--", name]
        text = "".join(f"Include {_quoted(file)}\n" for file in self._files)
        try:
            done = subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
                env=child_environment(),  # a Match of ssh_config runs commands
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreachableError(f"ssh -G failed: {error}", "try the same by hand") from error
        if done.returncode:
            noise = "Pseudo-terminal"  # its warning about a stdin that is no terminal
            lines = (line.strip() for line in done.stderr.splitlines() if not line.startswith(noise))
            reason = "; ".join(filter(None, lines))[:300]
            raise UnreachableError(f"ssh_config: {reason}", "correct it, and try: ssh -G HOST")
        return _settings(done.stdout, name, user)

    def _file_arguments(self) -> list[str]:
        """Return the arguments that make ssh read our files, from stdin if its own choice would be others.

        ssh takes ~/.ssh/config from the user's entry in passwd, while fabric takes it from $HOME.
        """
        if self._explicit:
            return ["-F", self._files[0]]
        home = pwd.getpwuid(os.getuid()).pw_dir
        return [] if Path("~").expanduser() == Path(home) else ["-F", "/dev/stdin"]


def load_ssh_config(config: Any) -> SshConfig:
    """Return the settings of the files that fabric's configuration names: that of -S, or the user's and the system's.

    Raise SourceError for a file that cannot be read here.
    """
    explicit = config._runtime_ssh_path  # noqa: SLF001 # fabric keeps -S nowhere else
    files = [explicit] if explicit else [USER_FILE, SYSTEM_FILE] if config.get("load_ssh_configs", True) else []
    return SshConfig(config.base_ssh_config, files, explicit=bool(explicit))


def _regex(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of Host, in which * and ? are wildcards; the ! before it does not count here."""
    text = re.sub(r"\*+", "*", pattern.lstrip("!").lower())
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in text))


def _match_patterns(lines: Iterable[Line]) -> Iterator[str]:
    """Yield the patterns of names in Match lines."""
    for line in lines:
        if line.keyword == "match":
            for criterion, patterns in zip(line.words, line.words[1:], strict=False):
                if criterion.lower().lstrip("!") in ("host", "originalhost"):
                    yield from patterns.split(",")


def _depends_on_name(line: Line) -> bool:
    """Tell if a line can give two hosts different settings although the same patterns select them."""
    if line.keyword.startswith("canonicalize"):
        return True
    return line.keyword not in _LATER and any("%" in word.replace("%%", "") for word in line.words)


def _refuse_unreadable(lines: Iterable[Line]) -> None:
    for line in lines:
        if line.keyword in ("match", "include"):
            problem = f"{line.keyword.capitalize()} needs an OpenSSH client to be read, and no ssh is installed here"
            raise SourceError(line.file, line.number, problem)


def _quoted(path: str) -> str:
    return f'"{path}"'


def _settings(text: str, name: str, user: str) -> dict[str, Any]:
    """Parse the output of `ssh -G`. Values that are OpenSSH's defaults are left out, so that others may count."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key in _LISTS:
            found.setdefault(key, []).append(value)
        elif key in _KEPT:
            found.setdefault(key, value)
    home = pwd.getpwuid(os.getuid()).pw_dir
    defaults = {
        "hostname": name,
        "port": "22",
        "user": user or getpass.getuser(),
        "userknownhostsfile": f"{home}/.ssh/known_hosts {home}/.ssh/known_hosts2",
        "globalknownhostsfile": "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2",
    }
    kept = {key: value for key, value in found.items() if value != defaults.get(key)}
    if all(file in _DEFAULT_KEYS for file in kept.get("identityfile", ())):
        kept.pop("identityfile", None)
    return kept


_DEFAULT_KEYS = frozenset(
    f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa")
)
