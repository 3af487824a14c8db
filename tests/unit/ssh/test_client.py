"""Keys are read once a run, for any number of hosts and threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import pytest

from tasks.ssh import client as login
from tasks.ssh.client import Client
from tasks.ssh.deadline import Deadline


class Quiet(Client):
    """A client without a transport to log to."""

    def _log(self, *_: Any) -> None:
        pass


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the readings of each file by paramiko."""
    counts: Counter[str] = Counter()
    monkeypatch.setattr(login, "_keys", {})
    load: Any = paramiko.SSHClient._key_from_filepath  # type: ignore[attr-defined]

    def counted(self: Any, filename: str, klass: Any, password: str | None) -> Any:
        counts[Path(filename).name] += 1
        return load(self, filename, klass, password)

    monkeypatch.setattr(paramiko.SSHClient, "_key_from_filepath", counted)
    return counts


def test_many_hosts_share_one_reading_of_a_key(tmp_path: Path, read: Counter[str]) -> None:
    file = tmp_path / "key"
    made = paramiko.ECDSAKey.generate()
    made.write_private_key_file(str(file), password="open sesame")

    def open_it(_: int) -> Any:
        return Quiet(Deadline(5))._key_from_filepath(str(file), paramiko.ECDSAKey, "open sesame")

    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(open_it, range(40)))
    assert read == {"key": 1}
    assert all(key is keys[0] for key in keys)
    assert keys[0] == made


@pytest.mark.parametrize(
    ("name", "password", "error"),
    [("key", "wrong", paramiko.SSHException), ("key", None, paramiko.SSHException), ("none", None, FileNotFoundError)],
)
def test_what_does_not_open_is_tried_once_and_said_each_time(
    name: str, password: str | None, error: type[Exception], tmp_path: Path, read: Counter[str]
) -> None:
    paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "key"), password="open sesame")
    for _ in range(3):
        with pytest.raises(error):
            Quiet(Deadline(5))._key_from_filepath(str(tmp_path / name), paramiko.ECDSAKey, password)
    assert read == {name: 1}


@pytest.fixture
def no_agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    login._load_agent.cache_clear()
    yield
    login._load_agent.cache_clear()


@pytest.mark.usefixtures("no_agent")
def test_there_is_one_agent_for_all_clients_and_none_is_no_trouble() -> None:
    assert login._load_agent("") is login._load_agent("")
    for socket in ("", "none", "/nowhere/else"):
        assert Client(Deadline(5), socket)._agent.get_keys() == ()


def test_only_the_named_identities_of_an_agent_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [paramiko.ECDSAKey.generate() for _ in range(3)]
    monkeypatch.setattr(login, "_load_agent", lambda _: login._Identities(keys))
    for number, name in enumerate(("a.pub", "b")):  # beside a private key that need not be there, and by itself
        (tmp_path / name).write_text(f"{keys[number].get_name()} {keys[number].get_base64()} me\n")
    (tmp_path / "private").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    named = login.public_keys([str(tmp_path / name) for name in ("a", "b", "private", "none")])
    assert list(Client(Deadline(5), "", named)._agent.get_keys()) == keys[:2]
    assert list(Client(Deadline(5), "", frozenset())._agent.get_keys()) == []
    assert list(Client(Deadline(5))._agent.get_keys()) == keys
