"""Host certificates of OpenSSH (its PROTOCOL.certkeys): parsed, and checked as its client checks them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import paramiko
from paramiko import Message

from tasks.ssh.message import CheckedMessage

SUFFIX = "-cert-v01@openssh.com"
HOST = 2  # the type of a host's certificate; 1 is a user's

# How many fields a public key has between the nonce and the serial number, and the class that checks its signatures.
_KEYS: Mapping[str, tuple[int, Any]] = {
    "ssh-rsa": (2, paramiko.RSAKey),
    "ssh-ed25519": (1, paramiko.Ed25519Key),
    "ecdsa-sha2-nistp256": (2, paramiko.ECDSAKey),
    "ecdsa-sha2-nistp384": (2, paramiko.ECDSAKey),
    "ecdsa-sha2-nistp521": (2, paramiko.ECDSAKey),
}


class Certificate(NamedTuple):
    """The fields of a certificate that count. authority: the blob of the key that signed it. signed: these bytes."""

    kind: int
    principals: tuple[str, ...]
    after: int
    before: int
    critical: bytes
    authority: bytes
    signed: bytes
    signature: bytes

    @property
    def authority_text(self) -> str:
        """Return the authority's key in base64, as known_hosts holds it."""
        return base64.b64encode(self.authority).decode()

    def problem(self, host: str, now: float) -> str:
        """Return the reason to refuse the certificate for a host, "" for none. now: seconds since 1970.

        A certificate without principals is refused, while OpenSSH before 10.1 accepts it for any host.
        """
        if self.kind != HOST:
            return "it is not a host's certificate"
        if not self.after <= now < self.before:
            return "it is not valid yet" if now < self.after else "it has expired"
        if self.critical:
            return "it has critical options, which host certificates cannot have"
        if host not in self.principals:  # * is no wildcard there (OpenSSH 9.2)
            return f"it is for {', '.join(self.principals)[:100] or 'no host'}"
        return "" if self._is_signed() else "its signature is wrong"

    def _is_signed(self) -> bool:
        try:
            _, kind = _KEYS[Message(self.authority).get_text()]
            return bool(kind(data=self.authority).verify_ssh_sig(self.signed, Message(self.signature)))
        except Exception:  # an unknown type of key, or anything that is malformed in what a server sent
            return False


def parse_certificate(key: paramiko.PKey) -> Certificate | None:
    """Return the certificate of a host key, None if it has none. Raise SSHException if it is malformed."""
    blob = getattr(key, "public_blob", None)
    if blob is None:
        return None
    message = CheckedMessage(blob.key_blob)
    fields, _ = _KEYS[message.get_text().removesuffix(SUFFIX)]
    for _ in range(1 + fields):  # the nonce, and the key
        message.get_string()
    message.get_int64()  # the serial number
    kind, _, principals = message.get_int(), message.get_string(), CheckedMessage(message.get_string())
    after, before = message.get_int64(), message.get_int64()
    critical, _, _ = (message.get_string() for _ in range(3))  # the extensions do not count for a host
    authority, signed, signature = message.get_string(), message.get_so_far(), message.get_string()
    return Certificate(kind, _texts(principals), after, before, critical, authority, signed, signature)


def _texts(message: Message) -> tuple[str, ...]:
    """Return all strings of a message."""
    found = []
    while message.get_remainder():
        found.append(message.get_string().decode("utf-8", "replace"))
    return tuple(found)
