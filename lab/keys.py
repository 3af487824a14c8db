"""Make key pairs in OpenSSH's format, without a passphrase."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_COMMENT = "nodeprep-lab"


def new_key(path: Path, comment: str = _COMMENT) -> str:
    """Write a new Ed25519 key pair to `path` and `path`.pub, and return the public key, `TYPE BASE64`.

    It is made in this process: ssh-keygen for each of 1000 nodes takes seconds.
    """
    return _save_key(path, Ed25519PrivateKey.generate(), comment)


def ensure_key(path: Path, comment: str) -> str:
    """Write a new Ed25519 key pair unless there is one, and return the line in `path`.pub, `TYPE BASE64 COMMENT`."""
    if not path.exists():
        new_key(path, comment)
    return _public(path).read_text(encoding="ascii").strip()


def new_ecdsa_key(path: Path) -> str:
    """Write a new ECDSA key pair on NIST's P-256, and return the public key, `TYPE BASE64`."""
    return _save_key(path, ec.generate_private_key(ec.SECP256R1()))


def new_rsa_key(path: Path) -> str:
    """Write a new RSA key pair of 3072 bits, which may take a second, and return the public key, `TYPE BASE64`."""
    return _save_key(path, rsa.generate_private_key(65537, 3072))


def _save_key(path: Path, key: PrivateKey, comment: str = _COMMENT) -> str:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    _public(path).write_text(f"{public} {comment}\n", encoding="ascii")
    return public


def _public(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")
