"""known_hosts files as OpenSSH reads them (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), parsed once for the whole fleet."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from threading import Lock

import paramiko

from tasks.core.errors import UnreachableError
from tasks.core.host import HostKeys

DEFAULT_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")

# One key of type ssh-rsa serves three signature algorithms.
ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. names: as written. kind: the key's type. blob: the key in base64."""

    names: str
    kind: str
    blob: str
    revoked: bool

    def matches(self, name: str) -> bool:
        """Tell if a line applies to this name, written as `[name]:port` unless its port is 22."""
        patterns = self.names.split(",")
        if any(fnmatchcase(name, _literal_brackets(pattern[1:])) for pattern in patterns if pattern.startswith("!")):
            return False
        return any(fnmatchcase(name, _literal_brackets(pattern)) for pattern in patterns)


def _literal_brackets(pattern: str) -> str:
    """Escape `[`: only * and ? are wildcards in known_hosts, while fnmatch also has [sets]."""
    return pattern.replace("[", "[[]")


class _Hashed:
    """A line with a hashed name: its HMAC-SHA1 with a salt of the line's own as the key (RFC 2104).

    A name can only be found by trying each line, so the two halves of the HMAC that depend on the salt alone are
    computed beforehand: 5,000 lines take 3.9 ms a name instead of 9.0.
    """

    def __init__(self, entry: Entry) -> None:
        """Parse the hashed name. Raise ValueError if it is malformed."""
        _, version, salt, digest = entry.names.split("|")[:4]
        key = base64.b64decode(salt)
        self.entry, self._digest = entry, base64.b64decode(digest)
        if version != "1" or len(key) != _SHA1().digest_size:
            raise ValueError(entry.names)
        block = key.ljust(64, b"\0")
        self._inner, self._outer = _SHA1(block.translate(_IPAD)), _SHA1(block.translate(_OPAD))

    def matches(self, name: bytes) -> bool:
        """Tell if the line applies to this name."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(name)
        outer.update(inner.digest())
        return outer.digest() == self._digest


_SHA1 = partial(hashlib.sha1, usedforsecurity=False)  # OpenSSH's choice: it hides names and is not a signature
_IPAD, _OPAD = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class _Plain:
    """The lines of a file with plain names, kept as text with an index of 8 bytes a name and parsed at each lookup.

    For 5,000 names that is 0.11 kB each; as entries in a dict they take 0.36 kB.
    """

    def __init__(self, text: bytes, places: Iterable[tuple[str, int]]) -> None:
        """Build the index. places: each name with the offset of its line in the text."""
        self._text = text
        self._places = array(
            "Q", sorted({_half_match(name) | place for name, place in places})
        )  # by name, then by place

    def entries(self, name: str) -> Iterator[Entry]:
        """Yield the lines of a name, in their order."""
        wanted = _half_match(name)
        first, last = bisect_left(self._places, wanted), bisect_left(self._places, wanted + _HALF)
        for number in range(first, last):
            place = self._places[number] % _HALF
            entry = _entry(self._text[place : self._text.find(b"\n", place)])
            if entry and name in entry.names.split(","):  # another name may have the same hash
                yield entry


_HALF = 2**32


def _half_match(name: str) -> int:
    """Return a number whose upper 32 bits are a name's hash and whose lower ones are 0."""
    return hash(name) % _HALF * _HALF


class KnownHosts:
    """The known_hosts files of one run. Plain names are found by an index, patterns and hashes by trying each line."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = tuple(str(Path(file).expanduser()) for file in files)
        self._plain: list[_Plain] = []
        self._added: dict[str, list[Entry]] = {}  # since the files were read
        self._patterns: list[Entry] = []
        self._hashed: list[_Hashed] = []
        self._found: dict[str, list[Entry]] = {}
        self._lock = Lock()
        for file in self.files:
            self._load(Path(file))

    def _load(self, file: Path) -> None:
        try:
            text = file.read_bytes() + b"\n"
        except OSError:  # as in OpenSSH, a missing file holds no keys
            return
        places: list[tuple[str, int]] = []
        place = 0
        for line in text.split(b"\n"):
            entry = _entry(line)
            if entry and entry.names.startswith("|"):
                with contextlib.suppress(ValueError):
                    self._hashed.append(_Hashed(entry))
            elif entry and set(entry.names) & set("*?!"):
                self._patterns.append(entry)
            elif entry:
                places += [(name, place) for name in entry.names.split(",")]
            place += len(line) + 1
        if places:
            self._plain.append(_Plain(text, places))

    def _named(self, name: str) -> list[Entry]:
        """Return the lines that hold the name literally."""
        return [*(entry for plain in self._plain for entry in plain.entries(name)), *self._added.get(name, ())]

    def lookup(self, name: str) -> list[Entry]:
        """Return every line that applies to a name, @revoked lines included."""
        if not (self._patterns or self._hashed):
            return self._named(name)
        found = self._found
        if name not in found:
            encoded = name.encode()
            found[name] = [
                *self._named(name),
                *(entry for entry in self._patterns if entry.matches(name)),
                *(line.entry for line in self._hashed if line.matches(encoded)),
            ]
        return found[name]

    def remember(self, name: str, kind: str, blob: str) -> None:
        """Append a host's key to the first file, once, even if many hosts connect through the same jump host."""
        path = Path(self.files[0])
        with self._lock:
            if any(entry.blob == blob for entry in self.lookup(name)):
                return
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("a+", encoding="utf-8") as file:
                file.seek(0, 2)
                start = "\n" if file.tell() and not path.read_bytes().endswith(b"\n") else ""
                file.write(f"{start}{name} {kind} {blob}\n")
            self._found = {}
            self._added.setdefault(name, []).append(Entry(name, kind, blob, False))


def _entry(line: bytes) -> Entry | None:
    words = line.decode("utf-8", "replace").split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    # Certificate authorities are not honoured: paramiko does not check host certificates.
    if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
        return None
    names = words[0] if words[0].startswith("|") else words[0].lower()  # OpenSSH compares names without case
    return Entry(names, sys.intern(words[1]), words[2], marker == "@revoked")


def entry_name(host: str, port: int) -> str:
    """Return a host as known_hosts writes it: lower case, with the port unless that is 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def host_key_names(host: str, port: int, alias: str) -> tuple[str, str]:
    """Return the name to look a host up by and the fallback ("" for none), as OpenSSH does.

    An alias (HostKeyAlias) is used as it is. An entry without a port counts for any port if none has the port.
    """
    if alias:
        return alias.lower(), ""
    return entry_name(host, port), host.lower() if port != 22 else ""


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


class Policy(paramiko.MissingHostKeyPolicy):
    """Accept or refuse the key of one host. paramiko's own table of hosts is empty, so it always asks this policy."""

    def __init__(self, mode: HostKeys, known: KnownHosts, name: str, bare_name: str = "") -> None:
        """Take the mode, the files, and the names. bare_name: used if there is no entry for name."""
        self.mode, self.known, self.name, self.bare_name = mode, known, name, bare_name

    @property
    def entries(self) -> list[Entry]:
        """Return the entries of the name, looked up anew: another connection to a jump host may have added one."""
        return self.known.lookup(self.name)

    @property
    def trusted(self) -> list[Entry]:
        """Return the entries of the name, or else of the bare name."""
        return self.entries or (self.known.lookup(self.bare_name) if self.bare_name else [])

    def refused_algorithms(self) -> list[str]:
        """Return the host key algorithms to leave out of the handshake, so that the host sends a key of a known type.

        Otherwise a host with an RSA entry would send its Ed25519 key, and that would count as changed.
        """
        kinds = {entry.kind for entry in self.trusted if not entry.revoked}
        if self.mode is HostKeys.OFF or not kinds:
            return []
        wanted = {name for kind in kinds for name in ALGORITHMS.get(kind, (kind,))}
        return [name for name in _all_algorithms() if name not in wanted]

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Accept the key by returning; raise UnreachableError to refuse it."""
        del client, hostname
        same = [entry for entry in self.trusted if entry.blob == key.get_base64()]
        if self.mode is HostKeys.OFF:
            return
        if any(entry.revoked for entry in same):
            raise UnreachableError(f"its host key {fingerprint(key)} is marked @revoked", "find out why it was revoked")
        if same:
            return
        if [entry for entry in self.entries if not entry.revoked]:
            raise _changed(key, self)
        if self.mode is HostKeys.STRICT:
            raise _unknown(key, self)
        self.known.remember(self.name, key.get_name(), key.get_base64())


def _all_algorithms() -> tuple[str, ...]:
    # paramiko's security options have it only on a live transport; the tuple is the same for all.
    names: tuple[str, ...] = getattr(paramiko.Transport, "_preferred_keys", ())
    return names


def _changed(key: paramiko.PKey, policy: Policy) -> UnreachableError:
    return UnreachableError(
        f"its host key is not the known one: got {fingerprint(key)}",
        f"if the node was reinstalled: ssh-keygen -f {policy.known.files[0]} -R '{policy.name}'; if not, someone may "
        "be intercepting the connection",
    )


def _unknown(key: paramiko.PKey, policy: Policy) -> UnreachableError:
    return UnreachableError(
        f"its host key is unknown: {fingerprint(key)}",
        f"check that fingerprint on the node, then run again with --host-keys accept-new (adds it to "
        f"{policy.known.files[0]})",
    )
