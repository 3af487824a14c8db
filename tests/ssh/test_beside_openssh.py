"""Host keys beside the OpenSSH client: each situation is given to both, and ours is never laxer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import fabric
import pytest

from tasks.core.errors import UnreachableError
from tasks.core.host import Host
from tasks.ssh.deadline import Deadline
from tasks.ssh.route import Access
from tasks.ssh.session import Session

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
KINDS = ("ed25519", "ecdsa", "rsa")


def keygen(*words: str) -> None:
    subprocess.run(["ssh-keygen", "-q", *words], check=True, stdin=subprocess.DEVNULL)


class Servers:
    """An sshd with plain keys, and one for each kind of certificate that its only key may have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for kind in KINDS:
            keygen("-t", kind, "-N", "", "-f", str(folder / kind))
        for name in ("login", "authority", "stranger"):
            keygen("-t", "ed25519", "-N", "", "-f", str(folder / name))
        (folder / "authorized_keys").write_bytes((folder / "login.pub").read_bytes())
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ports = {"plain": self.start(*(f"HostKey {folder}/{kind}" for kind in KINDS))}

    def certify(self, name: str, *words: str, authority: str = "authority") -> None:
        """Start an sshd whose Ed25519 key has a certificate; words are ssh-keygen's."""
        key = self.folder / name
        keygen("-t", "ed25519", "-N", "", "-f", str(key))
        keygen("-s", str(self.folder / authority), "-I", name, *words, f"{key}.pub")
        self.ports[name] = self.start(f"HostKey {key}", f"HostCertificate {key}-cert.pub")

    def start(self, *lines: str) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        config = self.folder / f"sshd.{port}"
        common = ("StrictModes no", "UsePAM no", "PidFile none", f"AuthorizedKeysFile {self.folder}/authorized_keys")
        config.write_text("\n".join((*lines, *common, f"ListenAddress 127.0.0.1:{port}", "")))
        process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=subprocess.PIPE)
        self.processes.append(process)
        assert process.stderr
        assert b"listening" in process.stderr.readline()
        return port

    def public(self, name: str) -> str:
        """Return a key as known_hosts writes it."""
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    Path("/run/sshd").mkdir(exist_ok=True)
    found = Servers(tmp_path_factory.mktemp("servers"))
    try:
        found.certify("right", "-h", "-n", "127.0.0.1")
        found.certify("pattern", "-h", "-n", "other,127.*")
        found.certify("wrong", "-h", "-n", "192.0.2.1")
        found.certify("anybody", "-h")
        found.certify("expired", "-h", "-n", "127.0.0.1", "-V", "20200101:20200102")
        found.certify("early", "-h", "-n", "127.0.0.1", "-V", "20900101:20900102")
        found.certify("user", "-n", "127.0.0.1")
        found.certify("foreign", "-h", "-n", "127.0.0.1", authority="stranger")
        yield found
    finally:
        found.close()


class Case(NamedTuple):
    """Lines of known_hosts and ssh_config, in which {name} is a key, {port} the server's port, and {at} its host.

    stricter: ours refuses what ssh accepts, for a reason that the documentation gives.
    """

    user: str = ""
    shared: str = ""
    config: str = ""
    server: str = "plain"
    revoked: str | None = None
    stricter: bool = False


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


AT = "[127.0.0.1]:{port}"
OFF, NEW = "StrictHostKeyChecking no", "StrictHostKeyChecking accept-new"
CASES = {
    "known": Case(f"{AT} {{ed25519}}"),
    "known as ecdsa": Case(f"{AT} {{ecdsa}}"),
    "known as rsa": Case(f"{AT} {{rsa}}"),
    "known by the signature's name": Case(f"{AT} rsa-sha2-512 {{rsa_blob}}"),
    "unknown": Case(""),
    "unknown, accept-new": Case("", config=NEW),
    "unknown, off": Case("", config=OFF),
    "changed": Case(f"{AT} {{stranger}}"),
    "changed, accept-new": Case(f"{AT} {{stranger}}", config=NEW),
    "changed, off": Case(f"{AT} {{stranger}}", config=OFF),
    "one of two": Case(f"{AT} {{stranger}}\n{AT} {{ed25519}}"),
    "another type is listed, of another host": Case(f"{AT} {{rsa}}\n192.0.2.1 {{ed25519}}"),
    "without a port": Case("127.0.0.1 {ed25519}"),
    "another key without a port": Case("127.0.0.1 {stranger}"),
    "another key without a port, accept-new": Case("127.0.0.1 {stranger}", config=NEW),
    "another key with, right without a port": Case(f"{AT} {{stranger}}\n127.0.0.1 {{ed25519}}"),
    "another port": Case("[127.0.0.1]:1 {ed25519}"),
    "a pattern": Case("[127.*]:* {ed25519}"),
    "a pattern of one character": Case("[127.0.0.?]:{port} {ed25519}"),
    "brackets are no set": Case("[127.0.0.[1]]:{port} {ed25519}"),
    "negated": Case(f"!{AT},* {{ed25519}}"),
    "negated for another": Case("!192.0.2.1,[127.*]:* {ed25519}"),
    "only negated": Case("!192.0.2.1 {ed25519}"),
    "a list of names": Case(f"other,{AT},192.0.2.1 {{ed25519}}"),
    "hashed": Case("{hashed} {ed25519}"),
    "hashed, of another key": Case("{hashed} {stranger}"),
    "CRLF": Case(f"{AT} {{ed25519}}\r\n"),
    "a comment and blanks": Case(f"# x\n\n   {AT}   {{ed25519}} a comment"),
    "a line that is a comment": Case(f"#{AT} {{ed25519}}"),
    "no key": Case(f"{AT} ssh-ed25519"),
    "a key of another type than it says": Case(f"{AT} ssh-rsa {{ed25519_blob}}"),
    "a broken key": Case(f"{AT} ssh-ed25519 AAAA"),
    "an unknown marker": Case(f"@unknown {AT} {{ed25519}}"),
    "in the global file": Case("", f"{AT} {{ed25519}}"),
    "changed in the global file": Case("", f"{AT} {{stranger}}", NEW),
    "right in one, changed in the other": Case(f"{AT} {{ed25519}}", f"{AT} {{stranger}}"),
    "revoked": Case(f"{AT} {{ed25519}}\n@revoked {AT} {{ed25519}}"),
    "revoked for all": Case(f"{AT} {{ed25519}}\n@revoked * {{ed25519}}"),
    "revoked in the global file": Case(f"{AT} {{ed25519}}", f"@revoked {AT} {{ed25519}}"),
    "revoked and unknown, accept-new": Case("@revoked * {ed25519}\n@revoked * {ecdsa}\n@revoked * {rsa}", "", NEW),
    "revoked, off": Case(f"@revoked {AT} {{ed25519}}\n{AT} {{ed25519}}", config=OFF, stricter=True),
    "revoked without a port": Case(f"{AT} {{ed25519}}\n@revoked 127.0.0.1 {{ed25519}}", stricter=True),
    "another key revoked": Case(f"{AT} {{ed25519}}\n@revoked {AT} {{stranger}}"),
    "in RevokedHostKeys": Case(f"{AT} {{ed25519}}", revoked="{ed25519}\n"),
    "in RevokedHostKeys, off": Case(f"{AT} {{ed25519}}", config=OFF, revoked="{ed25519}\n"),
    "another in RevokedHostKeys": Case(f"{AT} {{ed25519}}", revoked="{stranger} x\n"),
    "RevokedHostKeys is missing": Case(f"{AT} {{ed25519}}", config="RevokedHostKeys /nowhere/revoked"),
    "RevokedHostKeys is none": Case(f"{AT} {{ed25519}}", config="RevokedHostKeys none"),
    "alias": Case("Alias {ed25519}\nalias {ed25519}", config="HostKeyAlias alias"),
    "alias, known by its address": Case(f"{AT} {{ed25519}}", config="HostKeyAlias alias"),
    "a certificate": Case("@cert-authority * {authority}", server="right"),
    "a certificate for the port": Case(f"@cert-authority {AT} {{authority}}", server="right"),
    "a certificate without the port": Case("@cert-authority 127.0.0.1 {authority}", server="right"),
    "a certificate for a pattern": Case("@cert-authority * {authority}", server="pattern"),
    "a certificate for another host": Case("@cert-authority * {authority}", server="wrong"),
    "a certificate for no host": Case("@cert-authority * {authority}", server="anybody", stricter=True),
    "an expired certificate": Case("@cert-authority * {authority}", server="expired"),
    "an early certificate": Case("@cert-authority * {authority}", server="early"),
    "a certificate of another authority": Case("@cert-authority * {authority}", server="foreign"),
    "an authority for another host": Case("@cert-authority 192.0.2.1 {authority}", server="right"),
    "a certificate, and the key is known": Case(f"{AT} {{right}}", server="right"),
    "a wrong certificate, and the key is known": Case(
        f"@cert-authority * {{authority}}\n{AT} {{wrong}}", server="wrong"
    ),
    "a certificate, and another key is known": Case(f"{AT} {{stranger}}", server="right"),
    "a certificate whose authority is revoked": Case(
        "@cert-authority * {authority}\n@revoked * {authority}", server="right"
    ),
    "a certificate whose key is revoked": Case("@cert-authority * {authority}\n@revoked * {right}", server="right"),
    "a certificate whose authority is in RevokedHostKeys": Case(
        "@cert-authority * {authority}", server="right", revoked="{authority}\n"
    ),
    "a certificate by its alias": Case("@cert-authority alias {authority}", "", "HostKeyAlias alias", "right"),
}


def fill(text: str, servers: Servers, port: int) -> str:
    """Put keys and the port into the lines of a case."""
    names = (*KINDS, "authority", "stranger", *(name for name in servers.ports if name != "plain"))
    keys = {name: servers.public(name) for name in names}
    blobs = {f"{name}_blob": key.split()[1] for name, key in keys.items()}
    return text.format(port=port, hashed=hashed(f"[127.0.0.1]:{port}"), **keys, **blobs)


def written(case: Case, servers: Servers, folder: Path) -> str:
    """Write the files of a case; return its ssh_config."""
    port = servers.ports[case.server]
    (folder / "user").write_bytes(fill(case.user, servers, port).encode())
    (folder / "shared").write_bytes(fill(case.shared, servers, port).encode())
    lines = [f"UserKnownHostsFile {folder}/user", f"GlobalKnownHostsFile {folder}/shared", case.config]
    if case.revoked is not None:
        (folder / "revoked").write_text(fill(case.revoked, servers, port))
        lines.append(f"RevokedHostKeys {folder}/revoked")
    lines += [f"IdentityFile {servers.folder}/login", "User root", f"Port {port}", "StrictHostKeyChecking yes"]
    return "Host *\n" + "".join(f"  {line}\n" for line in lines)


def accepted_by_ssh(config: Path) -> bool:
    command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "127.0.0.1", "true"]
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL, env=environment)
    assert done.returncode in (0, 255), done.stderr
    return done.returncode == 0


def accepted_by_us(text: str) -> bool:
    config = fabric.Config(overrides={"user": "root", "connect_kwargs": {"allow_agent": False}}, lazy=True)
    config.base_ssh_config.parse(StringIO(text))
    with Session(Host("n", "127.0.0.1"), Access.of(config, None), Deadline(20)) as session:
        try:
            session.start("echo MARK", b"")
        except UnreachableError as error:
            assert "host key" in error.problem or "HostKey" in error.problem, error.problem
            return False
        session.receive(b"MARK")
        return True


@pytest.mark.parametrize("name", CASES)
def test_a_host_key_is_accepted_where_openssh_accepts_it(name: str, servers: Servers, tmp_path: Path) -> None:
    case = CASES[name]
    text = written(case, servers, tmp_path)
    (tmp_path / "config").write_text(text)
    before = (tmp_path / "user").read_bytes()
    theirs = accepted_by_ssh(tmp_path / "config")
    (tmp_path / "user").write_bytes(before)  # both may add to it
    assert accepted_by_us(text) is (theirs and not case.stricter)
    assert theirs or not case.stricter
