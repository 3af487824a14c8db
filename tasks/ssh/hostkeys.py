"""known_hosts files as OpenSSH reads them (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), parsed once for the whole fleet."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import struct
import sys
import time
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import paramiko

from tasks.core.errors import UnreachableError
from tasks.core.host import HostKeys
from tasks.ssh.certificates import SUFFIX, Certificate, parse_certificate

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")  # ssh_config(5): UserKnownHostsFile
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")  # GlobalKnownHostsFile

# One key of type ssh-rsa serves two signature algorithms (and SHA-1's, which paramiko has not any more).
ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_KEY_TYPES = {name: kind for kind, names in ALGORITHMS.items() for name in names}
REVOKED, AUTHORITY = "@revoked", "@cert-authority"
KRL_MAGIC = b"SSHKRL\n\0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. names: as written. kind: the key's type. blob: the key in base64. marker: "" for a host's key."""

    names: str
    kind: str
    blob: str
    marker: str = ""

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
        """Return every line that applies to a name, those with a marker included."""
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
        """Add a host's key, once, even if many hosts connect through the same jump host.

        It is appended to the first file; without files it is known for this run. Raise OSError if it cannot be written.
        """
        with self._lock:
            if any(entry.blob == blob and not entry.marker for entry in self.lookup(name)):
                return
            if self.files:
                _append(Path(self.files[0]), f"{name} {kind} {blob}\n")
            self._found = {}
            self._added.setdefault(name, []).append(Entry(name, kind, blob))


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        file.seek(0, 2)
        start = "\n" if file.tell() and not path.read_bytes().endswith(b"\n") else ""
        file.write(start + line)


def _entry(line: bytes) -> Entry | None:
    words = line.decode("utf-8", "replace").split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#") or marker not in ("", REVOKED, AUTHORITY):
        return None
    kind = sys.intern(_KEY_TYPES.get(words[1], words[1]))
    if not words[2].startswith(_blob_start(kind)):  # OpenSSH passes over a key that is of another type than it says
        return None
    names = words[0] if words[0].startswith("|") else words[0].lower()  # OpenSSH compares names without case
    return Entry(names, kind, words[2], marker)


@cache
def _blob_start(kind: str) -> str:
    """Return the first characters of the base64 text of each key of a type: the type's length and name."""
    name = kind.encode()
    start = struct.pack(">I", len(name)) + name
    return base64.b64encode(start).decode()[: len(start) // 3 * 4]


def entry_name(host: str, port: int) -> str:
    """Return a host as known_hosts writes it: lower case, with the port unless that is 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def host_key_names(host: str, port: int, alias: str) -> Names:
    """Return the names to look a host up by, as OpenSSH does.

    An alias (HostKeyAlias) is used as it is. An entry without a port counts for any port if none has the port.
    """
    if alias:
        return Names(alias.lower(), "", alias.lower())
    return Names(entry_name(host, port), host.lower() if port != 22 else "", host.lower())


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


class RevokedKeys:
    """The keys of a RevokedHostKeys file: public keys, one a line."""

    def __init__(self, file: str) -> None:
        """Read the file. Raise UnreachableError if it cannot be read: OpenSSH then refuses every host, too."""
        try:
            text = Path(file).expanduser().read_bytes()
        except OSError as error:
            raise UnreachableError(
                f"RevokedHostKeys {file} cannot be read: {error.strerror}", "correct it in ssh_config"
            ) from error
        if text.startswith(KRL_MAGIC):
            problem = f"RevokedHostKeys {file} is a binary revocation list (KRL), which is not read here"
            raise UnreachableError(problem, "name a file with one public key a line")
        lines = (line.split() for line in text.decode("utf-8", "replace").splitlines())
        self._blobs = {words[1] for words in lines if len(words) > 1 and not words[0].startswith("#")}

    def __contains__(self, blob: object) -> bool:
        return blob in self._blobs


class Names(NamedTuple):
    """The names of a host in known_hosts. bare: looked up if there is no entry for name; "" for none.

    host: the name that a certificate must hold.
    """

    name: str
    bare: str = ""
    host: str = ""


class Status(Enum):
    """The result of looking up a key: it is listed, no key of the host is, or only others are."""

    KNOWN, NEW, CHANGED = range(3)


class Policy(paramiko.MissingHostKeyPolicy):
    """Accept or refuse the key of one host. paramiko's own table of hosts is empty, so it always asks this policy.

    The rules are those of check_host_key in OpenSSH's sshconnect.c. It is stricter in one: a key that is @revoked is
    refused even if checking is off, also by a line of the default files if others are set, and with or without a port.
    unsafe: the host key differs from the known one and checking is off, so no password may be sent.
    """

    def __init__(
        self,
        mode: HostKeys,
        known: KnownHosts,
        names: Names,
        *,
        revoking: Sequence[KnownHosts] = (),
        revoked: Container[str] = frozenset(),
        allowed: Sequence[str] = (),
    ) -> None:
        """Take the mode, the files, and the names.

        revoking: more files, only for their @revoked lines. revoked: more revoked keys, in base64. allowed: host key
        algorithms by preference (HostKeyAlgorithms); () for all.
        """
        self.mode, self.known, self.names = mode, known, names
        self._revoking, self._revoked, self._allowed = (known, *revoking), revoked, allowed
        self.unsafe = False

    def _entries(self, marker: str) -> list[Entry]:
        """Return the entries that count for the host: those of its name, or else of its bare name.

        They are looked up anew: another connection to a jump host may have added one.
        """
        for name in filter(None, (self.names.name, self.names.bare)):
            if found := [entry for entry in self.known.lookup(name) if entry.marker == marker]:
                return found
        return []

    def algorithms(self) -> tuple[str, ...]:
        """Return the host key algorithms to offer, so that the host sends a key of a known type; () for all.

        Otherwise a host with an RSA entry would send its Ed25519 key, and that would count as changed.
        """
        kinds = {entry.kind for entry in self._entries("")}
        plain = [*_all_algorithms()]
        certified = [f"{name}{SUFFIX}" for name in plain]
        if kinds and self.mode is not HostKeys.OFF:
            wanted = {name for kind in kinds for name in ALGORITHMS.get(kind, (kind,))}
            plain = [name for name in plain if name in wanted] or plain
        offered = [*certified, *plain] if self._entries(AUTHORITY) else plain
        if self._allowed:
            offered = sorted(set(offered) & set(self._allowed), key=[*self._allowed].index)
            if not offered:
                problem = "HostKeyAlgorithms of ssh_config leave none that its known keys have and nodeprep supports"
                raise UnreachableError(problem, "correct it in ssh_config")
        return tuple(offered)

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Accept the key by returning; raise UnreachableError to refuse it."""
        del client, hostname
        certificate = parse_certificate(key)
        self._refuse_revoked(key, certificate)
        if certificate and self._is_certified(certificate):
            return
        status = self._status(key.get_base64())
        self.unsafe = self.mode is HostKeys.OFF and status is Status.CHANGED
        if self.mode is HostKeys.OFF or status is Status.KNOWN:
            return
        if status is Status.CHANGED:
            raise _changed(key, self)
        if self.mode is HostKeys.STRICT:
            raise _unknown(key, self)
        self._remember(key)

    def _refuse_revoked(self, key: paramiko.PKey, certificate: Certificate | None) -> None:
        blobs = [key.get_base64(), *([certificate.authority_text] if certificate else [])]
        names = {name for name in (self.names.name, self.names.bare, self.names.host) if name}
        marked = {
            entry.blob
            for known in self._revoking
            for name in names
            for entry in known.lookup(name)
            if entry.marker == REVOKED
        }
        if any(blob in marked for blob in blobs):
            raise UnreachableError(f"its host key {fingerprint(key)} is marked @revoked", "find out why it was revoked")
        if any(blob in self._revoked for blob in blobs):
            problem = f"its host key {fingerprint(key)} is in the file of RevokedHostKeys"
            raise UnreachableError(problem, "find out why it was revoked")

    def _is_certified(self, certificate: Certificate) -> bool:
        """Tell if an authority that is known for the host signed the certificate, and for this host and time."""
        known = any(entry.blob == certificate.authority_text for entry in self._entries(AUTHORITY))
        return known and not certificate.problem(self.names.host or self.names.name, time.time())

    def _status(self, blob: str) -> Status:
        for name in filter(None, (self.names.name, self.names.bare)):
            entries = [entry for entry in self.known.lookup(name) if not entry.marker]
            if any(entry.blob == blob for entry in entries):
                return Status.KNOWN
            if entries and name == self.names.name:
                return Status.CHANGED
        return Status.NEW

    def _remember(self, key: paramiko.PKey) -> None:
        try:
            self.known.remember(self.names.name, key.get_name(), key.get_base64())
        except OSError as error:
            problem = f"its host key cannot be added to {self.known.files[0]}: {error.strerror}"
            raise UnreachableError(problem, "correct the file's permissions, or UserKnownHostsFile") from error


def _all_algorithms() -> tuple[str, ...]:
    # paramiko's security options have it only on a live transport; the tuple is the same for all.
    names: tuple[str, ...] = getattr(paramiko.Transport, "_preferred_keys", ())
    return names


def _changed(key: paramiko.PKey, policy: Policy) -> UnreachableError:
    return UnreachableError(
        f"its host key is not the known one: got {fingerprint(key)}",
        f"if the node was reinstalled: ssh-keygen -f {_file_of(policy)} -R '{policy.names.name}'; if not, someone may "
        "be intercepting the connection",
    )


def _unknown(key: paramiko.PKey, policy: Policy) -> UnreachableError:
    return UnreachableError(
        f"its host key is unknown: {fingerprint(key)}",
        f"check that fingerprint on the node, then run again with --host-keys accept-new (adds it to "
        f"{_file_of(policy)})",
    )


def _file_of(policy: Policy) -> str:
    """Return the file that a host's key is added to."""
    return policy.known.files[0] if policy.known.files else "no file: UserKnownHostsFile is none"
