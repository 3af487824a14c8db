"""known_hosts as OpenSSH reads it, and the verdict of each mode on a host's key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import tracemalloc
from pathlib import Path
from threading import Barrier, Thread

import paramiko
import pytest

from tasks.core.errors import UnreachableError
from tasks.core.host import HostKeys
from tasks.ssh.hostkeys import KnownHosts, Names, Policy, RevokedKeys, entry_name, fingerprint, host_key_names

CLIENT = paramiko.SSHClient()
ONE, OTHER = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
RSA = paramiko.RSAKey.generate(1024)


def line(names: str, key: paramiko.PKey = ONE, marker: str = "") -> str:
    return f"{marker}{' ' if marker else ''}{names} {key.get_name()} {key.get_base64()}\n"


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def known(folder: Path, text: str) -> KnownHosts:
    file = folder / "known_hosts"
    file.write_text(text, encoding="utf-8")
    return KnownHosts([str(file)])


def verdict(policy: Policy, key: paramiko.PKey = ONE) -> str:
    """Return an empty text if the key is accepted, else the problem."""
    try:
        policy.missing_host_key(CLIENT, "n1", key)
    except UnreachableError as error:
        assert error.next_step
        return error.problem
    return ""


MATCHES = [
    ("n1", "n1", True),
    ("n1", "n2", False),
    ("n2,n1,192.0.2.1", "n1", True),
    ("n1", "[n1]:2222", False),
    ("[n1]:2222", "[n1]:2222", True),
    ("[n1]:2222", "n1", False),
    ("n*", "n1", True),
    ("n?", "n1", True),
    ("n?", "n12", False),
    ("*.example.org", "n1.example.org", True),
    ("*,!n1", "n1", False),
    ("*,!n1", "n2", True),
    ("!n1,*", "n1", False),
    ("!n1", "n2", False),
    ("[n*]:2222", "[n1]:2222", True),
    ("[n1]:*", "[n1]:2222", True),
    ("[*]:*,![n1]:2222", "[n1]:2222", False),
    ("[*]:*,![n1]:2222", "[n2]:2222", True),
    ("n[12]*", "n1", False),
    ("N1.Example.ORG", "n1.example.org", True),
    ("*.Example.ORG", "n1.example.org", True),
    ("192.0.2.*", "192.0.2.7", True),
    ("2001:db8::1", "2001:db8::1", True),
    (hashed("n1"), "n1", True),
    (hashed("n1"), "n2", False),
    (hashed("[n1]:2222"), "[n1]:2222", True),
    ("|1|rubbish", "n1", False),
    ("|1|a|b", "n1", False),
    ("|2|a|b", "n1", False),
]


@pytest.mark.parametrize(("names", "name", "found"), MATCHES)
def test_a_line_is_about_the_names_that_openssh_takes_it_for(
    names: str, name: str, found: bool, tmp_path: Path
) -> None:
    assert bool(known(tmp_path, line(names)).lookup(name)) is found


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize(
    ("names", "name", "found"), [row for row in MATCHES if not row[0].startswith(("|1|r", "|1|a"))]
)
def test_ssh_keygen_finds_the_same_lines(names: str, name: str, found: bool, tmp_path: Path) -> None:
    known(tmp_path, line(names))
    done = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", str(tmp_path / "known_hosts")], capture_output=True, text=True, check=False
    )
    assert bool(done.stdout) is found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "# n1 ssh-ed25519 AAAA\n",
        "n1\n",
        "n1 ssh-ed25519\n",
        "@cert-authority n1 ssh-ed25519 AAAA\n",
        "@unknown n1 ssh-ed25519 AAAA\n",
        "@revoked\n",
        "\0\1\2\n",
    ],
)
def test_lines_that_hold_no_key_of_a_host_are_passed_over(text: str, tmp_path: Path) -> None:
    assert known(tmp_path, text).lookup("n1") == []


def test_a_file_may_be_missing_have_windows_ends_or_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\xfe\r\n" + line("n1").replace("\n", " a comment\r\n").encode())
    found = KnownHosts([str(tmp_path / "none"), str(tmp_path / "a")])
    assert [entry.blob for entry in found.lookup("n1")] == [ONE.get_base64()]


def test_names_with_the_same_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ssh.hostkeys._half_match", lambda name: 0)
    found = known(tmp_path, line("n1") + line("n2,n3", OTHER) + line("n1", OTHER).rstrip("\n"))
    assert [entry.blob for entry in found.lookup("n1")] == [ONE.get_base64(), OTHER.get_base64()]
    assert [entry.blob for entry in found.lookup("n3")] == [OTHER.get_base64()]
    assert found.lookup("n4") == []


def test_a_known_name_among_thousands_costs_little_more_than_its_line(tmp_path: Path) -> None:
    text = "".join(line(f"node-{number}") for number in range(5000))
    tracemalloc.start()
    found = known(tmp_path, text)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < len(text) + 5000 * 40  # 24 of them are tuples that Python keeps for the next use
    assert len(found.lookup("node-4999")) == 1


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [("n1", 22, "n1"), ("N1.Example", 22, "n1.example"), ("n1", 2222, "[n1]:2222"), ("2001:db8::1", 22, "2001:db8::1")],
)
def test_a_host_is_looked_up_as_openssh_writes_it(host: str, port: int, name: str) -> None:
    assert entry_name(host, port) == name


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_a_fingerprint_is_what_ssh_keygen_prints(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(f"{ONE.get_name()} {ONE.get_base64()} x\n")
    done = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True, check=True)
    assert fingerprint(ONE) == f"{ONE.get_name()} {done.stdout.split()[1]}"


VERDICTS = [
    ("a known key", line("n1"), ("", "", "")),
    ("no line", "", ("is unknown", "", "")),
    ("another host's line", line("n2"), ("is unknown", "", "")),
    ("another key", line("n1", OTHER), ("is not the known one", "is not the known one", "")),
    ("one of two keys", line("n1", OTHER) + line("n1"), ("", "", "")),
    ("a revoked key", line("n1", ONE, "@revoked"), ("@revoked", "@revoked", "@revoked")),
    ("a revoked key that is listed too", line("n1") + line("*", ONE, "@revoked"), ("@revoked", "@revoked", "@revoked")),
    ("another revoked key", line("n1", OTHER, "@revoked"), ("is unknown", "", "")),
    ("a hashed name", line(hashed("n1")), ("", "", "")),
    ("an authority", line("n1", ONE, "@cert-authority"), ("is unknown", "", "")),
]


@pytest.mark.parametrize(("case", "text", "problems"), VERDICTS, ids=[case for case, _, _ in VERDICTS])
@pytest.mark.parametrize(("mode", "column"), [(HostKeys.STRICT, 0), (HostKeys.ACCEPT_NEW, 1), (HostKeys.OFF, 2)])
def test_each_mode_decides_about_a_key(
    case: str, text: str, problems: tuple[str, ...], mode: HostKeys, column: int, tmp_path: Path
) -> None:
    del case
    said = verdict(Policy(mode, known(tmp_path, text), Names("n1")))
    assert problems[column] in said
    assert bool(said) is bool(problems[column])


def test_an_accepted_key_is_remembered_for_this_run_and_the_next(tmp_path: Path) -> None:
    file = tmp_path / "made" / "known_hosts"
    found = KnownHosts([str(file), str(tmp_path / "second")])
    assert verdict(Policy(HostKeys.ACCEPT_NEW, found, Names("[n1]:2222"))) == ""
    for again in (found, KnownHosts([str(file)])):
        assert verdict(Policy(HostKeys.STRICT, again, Names("[n1]:2222"))) == ""
        assert "is not the known one" in verdict(Policy(HostKeys.ACCEPT_NEW, again, Names("[n1]:2222")), OTHER)
    assert file.read_text() == line("[n1]:2222")
    assert file.parent.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "second").exists()


def test_a_line_is_added_after_a_file_without_an_end(tmp_path: Path) -> None:
    found = known(tmp_path, line("n2").rstrip("\n"))
    found.remember("n1", ONE.get_name(), ONE.get_base64())
    assert (tmp_path / "known_hosts").read_text() == line("n2") + line("n1")


@pytest.mark.parametrize("mode", [HostKeys.STRICT, HostKeys.OFF])
def test_only_accept_new_writes(mode: HostKeys, tmp_path: Path) -> None:
    found = known(tmp_path, "")
    verdict(Policy(mode, found, Names("n1")))
    assert (tmp_path / "known_hosts").read_text() == ""


def test_many_hosts_remembered_at_once_are_all_there(tmp_path: Path) -> None:
    found = known(tmp_path, "")
    together = Barrier(8)

    def remember(number: int) -> None:
        together.wait(10)
        found.remember(f"n{number}", ONE.get_name(), ONE.get_base64())
        found.remember("jump", ONE.get_name(), ONE.get_base64())

    threads = [Thread(target=remember, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "known_hosts").read_text().splitlines(keepends=True)
    assert sorted(lines) == sorted([line("jump"), *(line(f"n{number}") for number in range(8))])


PLAIN = set(paramiko.Transport._preferred_keys)  # type: ignore[attr-defined]
CERTIFIED = {f"{name}-cert-v01@openssh.com" for name in PLAIN}


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (line("n1"), {ONE.get_name()}),
        (line("n1", RSA), {"rsa-sha2-512", "rsa-sha2-256"}),
        (line("n1", RSA) + line("n1", ONE), {"rsa-sha2-512", "rsa-sha2-256", ONE.get_name()}),
        (line("n1", ONE, "@cert-authority"), PLAIN | CERTIFIED),
        (line("n1", ONE, "@cert-authority") + line("n1", RSA), {"rsa-sha2-512", "rsa-sha2-256"} | CERTIFIED),
    ],
    ids=["ecdsa", "rsa", "both", "authority", "authority and rsa"],
)
def test_a_host_is_asked_for_a_key_of_a_type_that_is_known(text: str, offered: set[str], tmp_path: Path) -> None:
    assert set(Policy(HostKeys.STRICT, known(tmp_path, text), Names("n1")).algorithms()) == offered


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        (HostKeys.OFF, line("n1")),
        (HostKeys.STRICT, ""),
        (HostKeys.ACCEPT_NEW, line("n2")),
        (HostKeys.STRICT, line("n1", ONE, "@revoked")),
    ],
)
def test_any_key_may_be_shown_where_none_is_known(mode: HostKeys, text: str, tmp_path: Path) -> None:
    assert set(Policy(mode, known(tmp_path, text), Names("n1")).algorithms()) == PLAIN


def test_the_order_and_choice_of_algorithms_are_the_admins(tmp_path: Path) -> None:
    allowed = ["ssh-dss", "rsa-sha2-512", "ssh-ed25519"]
    policy = Policy(HostKeys.STRICT, known(tmp_path, ""), Names("n1"), allowed=allowed)
    assert policy.algorithms() == ("rsa-sha2-512", "ssh-ed25519")


# ---- revoked keys ----


@pytest.mark.parametrize("mode", HostKeys)
@pytest.mark.parametrize("name", ["n1", "[n1]:2222", "*", "[n1]:*", hashed("n1")])
def test_a_revoked_key_is_refused_in_each_mode_with_and_without_its_port(
    name: str, mode: HostKeys, tmp_path: Path
) -> None:
    (tmp_path / "more").write_text(line(name, ONE, "@revoked"))
    names = host_key_names("n1", 2222, "")
    policy = Policy(mode, known(tmp_path, line("[n1]:2222")), names, revoking=[KnownHosts([str(tmp_path / "more")])])
    assert "@revoked" in verdict(policy)


def test_a_file_of_revoked_keys_holds_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text(f"# none\n\n{OTHER.get_name()} {OTHER.get_base64()} a comment\n")
    policy = Policy(HostKeys.OFF, known(tmp_path, ""), Names("n1"), revoked=RevokedKeys(str(file)))
    assert verdict(policy) == ""
    assert "RevokedHostKeys" in verdict(policy, OTHER)


@pytest.mark.parametrize(("content", "problem"), [(None, "cannot be read"), (b"SSHKRL\n\0\0\0", "binary")])
def test_a_file_of_revoked_keys_that_cannot_be_read_refuses_every_host(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "revoked"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnreachableError, match=problem):
        RevokedKeys(str(file))


# ---- where checking is off, and where nothing can be written ----


def test_a_changed_key_is_unsafe_where_checking_is_off_and_an_unknown_one_is_not(tmp_path: Path) -> None:
    for text, unsafe in ((line("n1", OTHER), True), (line("n2", OTHER), False), (line("n1"), False)):
        policy = Policy(HostKeys.OFF, known(tmp_path, text), Names("n1"))
        assert verdict(policy) == ""
        assert policy.unsafe is unsafe


def test_a_key_without_a_file_is_known_for_this_run() -> None:
    found = KnownHosts([])
    with pytest.raises(UnreachableError) as caught:
        Policy(HostKeys.STRICT, found, Names("n1")).missing_host_key(CLIENT, "n1", ONE)
    assert "no file" in caught.value.next_step
    assert verdict(Policy(HostKeys.ACCEPT_NEW, found, Names("n1"))) == ""
    assert "is not the known one" in verdict(Policy(HostKeys.STRICT, found, Names("n1")), OTHER)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    policy = Policy(HostKeys.ACCEPT_NEW, KnownHosts([str(tmp_path / "folder")]), Names("n1"))
    assert f"cannot be added to {tmp_path / 'folder'}" in verdict(policy)


# ---- what a line must hold ----


@pytest.mark.parametrize(("kind", "listed"), [(ONE.get_name(), True), ("ssh-rsa", False), ("ssh-ed25519", False)])
def test_a_key_of_another_type_than_its_line_says_is_no_entry(kind: str, listed: bool, tmp_path: Path) -> None:
    found = known(tmp_path, f"n1 {kind} {ONE.get_base64()}\n")
    assert bool(found.lookup("n1")) is listed


@pytest.mark.parametrize(
    ("host", "port", "alias", "names"),
    [
        ("N1", 22, "", Names("n1", "", "n1")),
        ("n1", 2222, "", Names("[n1]:2222", "n1", "n1")),
        ("n1", 2222, "Alias", Names("alias", "", "alias")),
    ],
)
def test_the_names_a_key_is_looked_up_by(host: str, port: int, alias: str, names: Names) -> None:
    """ssh(1): HostKeyAlias is used as it is; an entry without a port counts if none has the port."""
    assert host_key_names(host, port, alias) == names
