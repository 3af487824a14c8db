"""Host certificates, and each reason to refuse one. tests/ssh/test_beside_openssh.py compares with ssh."""

from __future__ import annotations

import base64
from typing import Any

import paramiko
import pytest
from paramiko import Message, SSHException

from tasks.ssh.certificates import Certificate, parse_certificate

AUTHORITY, STRANGER = paramiko.ECDSAKey.generate(), paramiko.RSAKey.generate(2048)
KEY: Any = paramiko.ECDSAKey.generate()


def certificate(
    *,
    kind: int = 2,
    principals: tuple[str, ...] = ("n1", "n2"),
    critical: bytes = b"",
    signer: Any = AUTHORITY,
    claimed: Any = None,
) -> Any:
    """A host key with a certificate. claimed: the authority it names, if not the one that signs it."""
    names, written = Message(), Message()
    for name in principals:
        names.add_string(name)
    fields = Message(KEY.asbytes())
    written.add_string(f"{fields.get_text()}-cert-v01@openssh.com")
    written.add_string(b"a nonce")
    written.add_bytes(fields.get_remainder())
    written.add_int64(1)
    written.add_int(kind)
    written.add_string("its name")
    written.add_string(names.asbytes())
    written.add_int64(1000)
    written.add_int64(2000)
    written.add_string(critical)
    written.add_string(b"an extension")
    written.add_string(b"")
    written.add_string((claimed or signer).asbytes())
    algorithm = ["rsa-sha2-512"] if signer is STRANGER else []
    written.add_string(signer.sign_ssh_data(written.asbytes(), *algorithm).asbytes())
    return paramiko.ECDSAKey(data=written.asbytes())


def parsed(**fields: Any) -> Certificate:
    found = parse_certificate(certificate(**fields))
    assert found
    return found


@pytest.mark.parametrize("signer", [AUTHORITY, STRANGER])
def test_a_good_certificate_has_no_problem(signer: Any) -> None:
    found = parsed(signer=signer)
    assert found.problem("n2", 1500) == ""
    assert base64.b64decode(found.authority_text) == signer.asbytes()


@pytest.mark.parametrize(
    ("fields", "host", "now", "problem"),
    [
        ({"kind": 1}, "n1", 1500, "not a host's"),
        ({}, "n1", 999, "not valid yet"),
        ({}, "n1", 2000, "expired"),
        ({"critical": b"force-command"}, "n1", 1500, "critical options"),
        ({}, "n3", 1500, "it is for n1, n2"),
        ({"principals": ()}, "n1", 1500, "no host"),
        ({"principals": ("*",)}, "n1", 1500, "it is for *"),
        ({"claimed": STRANGER}, "n1", 1500, "signature is wrong"),
        ({"claimed": KEY}, "n1", 1500, "signature is wrong"),
    ],
)
def test_a_certificate_is_refused_for_each_reason(fields: Any, host: str, now: float, problem: str) -> None:
    assert problem in parsed(**fields).problem(host, now)


def test_a_plain_key_has_none_and_one_that_ends_early_is_refused() -> None:
    assert parse_certificate(KEY) is None
    whole = certificate()
    whole.public_blob.key_blob = whole.public_blob.key_blob[:-1]
    with pytest.raises(SSHException, match="ends early"):
        parse_certificate(whole)
