"""Keys are read once a run, for any number of hosts and threads."""

from __future__ import annotations

import gc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import pytest

from tasks.ssh import client as login
from tasks.ssh.client import Client


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
        return Quiet()._key_from_filepath(str(file), paramiko.ECDSAKey, "open sesame")

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
            Quiet()._key_from_filepath(str(tmp_path / name), paramiko.ECDSAKey, password)
    assert read == {name: 1}


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # paramiko leaves it open where no agent listens
def test_there_is_one_agent_for_all_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    login._the_agent.cache_clear()
    assert Client()._agent is Client()._agent
    assert Client()._agent.get_keys() == ()
    login._the_agent.cache_clear()
    gc.collect()  # while the filter is in force
