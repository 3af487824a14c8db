"""ssh_config as `ssh -G` reads it, asked once for all hosts of the same patterns, and the reader without it."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from paramiko import SSHConfig

from tasks.core.errors import SourceError, UnreachableError, UsageError
from tasks.ssh import config as module
from tasks.ssh.config import SshConfig
from tasks.ssh.environment import SECRET_VARIABLE

real = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")


class Files:
    """ssh_config files of a test, and a count of the questions to ssh."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, 0

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text.replace("FOLDER", str(self.folder)))
        return str(path)

    def read(self, text: str, **more: str) -> SshConfig:
        for name, content in more.items():
            self.write(name, content)
        return SshConfig(SSHConfig(), [self.write("config", text)], explicit=True)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    found = Files(tmp_path)
    ask: Any = SshConfig._ask

    def counted(self: SshConfig, *given: str) -> Any:
        found.asked += 1
        return ask(self, *given)

    monkeypatch.setattr(SshConfig, "_ask", counted)
    return found


# ---- as OpenSSH reads it ----


@real
def test_match_and_include_count_as_for_openssh(files: Files) -> None:
    found = files.read(
        'Include FOLDER/included\nMatch host n1 exec "true"\n  Port 2201\nMatch user anna\n  Port 2202\n'
        "Host n2\n  Include FOLDER/conditional\nMatch all\n  IdentitiesOnly yes\n",
        included="Host *\n  ProxyJump me@b:2222\n  StrictHostKeyChecking accept-new\n",
        conditional="Port 2203\nHost n3\n  Port 2204\n",
    )
    assert found.lookup("n1")["proxyjump"] == "me@b:2222"
    assert found.lookup("n1")["stricthostkeychecking"] == "accept-new"
    assert found.lookup("n1")["identitiesonly"] == "yes"
    hosts = {"n1": "", "n2": "", "n3": "", "n4": "anna"}
    ports = [found.lookup(name, user).get("port") for name, user in hosts.items()]
    assert ports == ["2201", "2203", None, "2202"]


@real
def test_a_command_of_match_does_not_inherit_the_sudo_password(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "a secret")
    monkeypatch.setenv("OTHER", "kept")
    found = files.read('Match exec "env > FOLDER/seen"\n  Port 2201\n')
    assert found.lookup("n1")["port"] == "2201"
    seen = (files.folder / "seen").read_text().splitlines()
    assert "OTHER=kept" in seen
    assert not any("a secret" in line for line in seen)


@real
def test_what_openssh_takes_without_a_setting_is_left_to_others(files: Files) -> None:
    found = files.read("Host other\n  Port 23\n").lookup("n1")
    assert not {"port", "user", "hostname", "userknownhostsfile", "globalknownhostsfile", "identityfile"} & set(found)


@real
def test_files_of_keys_are_lists_and_keep_their_tokens(files: Files) -> None:
    found = files.read("Host *\n  IdentityFile ~/.ssh/%h\n  IdentityFile /keys/two\n  CertificateFile /keys/%r\n")
    assert found.lookup("n1")["identityfile"] == ["~/.ssh/%h", "/keys/two"]
    assert found.lookup("n1")["certificatefile"] == ["/keys/%r"]


@real
@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ("", 1),
        ("Host *\n  Port 23\n", 1),
        ("Host n1* other\n  Port 23\n", 2),
        ("Host n1*\n  Port 23\nMatch host n2?\n  User me\nHost *\n  ProxyCommand nc %h %p\n", 3),
        ("Host *\n  IdentityFile ~/.ssh/%h\n", 1),
        ("Host *\n  HostName %h.example\n", 50),
        ('Match exec "test %h = n1"\n  Port 23\n', 50),
        ("Host *\n  CanonicalizeHostname yes\n  CanonicalDomains invalid\n", 50),
    ],
)
def test_openssh_is_asked_once_for_all_hosts_that_the_same_patterns_select(
    text: str, questions: int, files: Files
) -> None:
    found = files.read(text)
    alone = {name: module._settings(_asked(files, name), name, "") for name in ("n1", "n12", "n25", "n49")}
    every = {f"n{number}": found.lookup(f"N{number}") for number in range(50)}
    assert {name: dict(every[name]) for name in alone} == alone
    assert files.asked == questions


def _asked(files: Files, name: str) -> str:
    import subprocess  # for the oracle alone

    command = ["ssh", "-G", "-F", str(files.folder / "config"), name]
    return subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


@real
def test_what_openssh_refuses_is_one_sentence(files: Files) -> None:
    found = files.read("Host *\n  Prot 22\n")
    with pytest.raises(UsageError, match=r"config.* line 2: Bad configuration option: prot.*; correct it") as caught:
        found.check("n1")
    assert "\n" not in str(caught.value)
    with pytest.raises(UnreachableError):
        found.lookup("n1")


@real
def test_the_files_of_home_count_where_openssh_would_take_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, text in ((".ssh/config", "Host n1\n  Port 23\n"), ("system", "Host *\n  Port 24\n  User me\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = SshConfig(SSHConfig(), ["~/.ssh/config", str(tmp_path / "system")])
    assert [found.lookup(name).get("port") for name in ("n1", "n2")] == ["23", "24"]
    assert found.lookup("n1")["user"] == "me"


def test_the_names_of_host_lines_are_aliases_also_where_a_match_is(files: Files) -> None:
    found = files.read(
        'Host one two n* !three\nMatch host four\nHost="five"\nInclude FOLDER/more FOLDER/none\n', more="Host six\n"
    )
    assert found.aliases == {"one", "two", "five", "six"}


# ---- without an OpenSSH client ----


@pytest.fixture
def no_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda _: None)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("no_ssh")
@pytest.mark.parametrize("word", ["Match", "Include"])
def test_what_only_openssh_reads_is_an_error_without_it(word: str, files: Files) -> None:
    with pytest.raises(SourceError, match=rf"config:2: {word} needs an OpenSSH client"):
        files.read(f"# a comment\n  {word.lower()} all\n")


@pytest.mark.usefixtures("no_ssh")
def test_a_plain_file_is_read_without_openssh(files: Files) -> None:
    fallback = SSHConfig()
    fallback.parse(StringIO("Host n*\n  Port 23\n  ProxyCommand nc %h %p %r\n"))
    found = SshConfig(fallback, [files.write("config", "Host n*\n  Port 23\n")])
    assert found.lookup("n1")["port"] == "23"
    assert found.lookup("n1")["proxycommand"] == "nc %h %p %r"
    assert files.asked == 0


def test_without_files_nothing_is_asked(files: Files) -> None:
    assert SshConfig(SSHConfig(), ["/nowhere/config"]).lookup("n1").get("port") is None
    assert files.asked == 0


def test_a_circle_of_includes_ends(files: Files) -> None:
    assert files.read("Host one\nInclude FOLDER/config\n").aliases == {"one"}
