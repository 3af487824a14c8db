"""A session against paramiko's server side: its streams, its retries, and the sentence for each kind of failure."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import fabric
import pytest

from tasks.core.errors import NodeError, RemoteError, ShellEndedError, UnreachableError
from tasks.core.host import Host, HostKeys, SshOptions
from tasks.core.redact import Secret
from tasks.ssh import session as module
from tasks.ssh.deadline import Deadline
from tasks.ssh.route import Access
from tasks.ssh.session import Session, load_known_hosts
from tasks.ssh.session import _known_hosts as load_cache
from tests.support.ssh_server import HOST_KEY, KEY, OTHER, SECONDS, Rules, interjecting, listening


def access(config: str = "", host_keys: HostKeys | None = None) -> Access:
    read = fabric.Config(overrides={"user": "me", "connect_kwargs": {"allow_agent": False}}, lazy=True)
    read.base_ssh_config.parse(StringIO(config))
    return Access.of(read, host_keys)


class Nodes:
    """Hosts of a test, with a known_hosts file and a private key of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        KEY.write_private_key_file(str(folder / "key"))

    def host(self, address: tuple[str, int], **options: Any) -> Host:
        known = self.folder / f"known_hosts.{address[1]}"
        known.write_text(f"[{address[0]}]:{address[1]} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
        given = {"known_hosts": (str(known),), "key_files": (str(self.folder / "key"),), **options}
        return Host("n", *address, user="admin", ssh=SshOptions(**given))


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.01, 0.01))
    return Nodes(tmp_path)


def problem(host: Host, given: Access | None = None, seconds: float = SECONDS) -> NodeError:
    with Session(host, given or access(), Deadline(seconds)) as session, pytest.raises(NodeError) as caught:
        session.start("true", b"")
    assert caught.value.next_step
    return caught.value


@contextlib.contextmanager
def answering(conversation: Callable[[socket.socket], object]) -> Iterator[tuple[tuple[str, int], list[int]]]:
    """A listener that does this with each client and closes; its address, and a list that grows with each client."""
    clients: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as client:
                        clients.append(1)
                        conversation(client)
                        client.shutdown(socket.SHUT_WR)
                        while client.recv(4096):  # unread data would make of the close a reset, which drops the answer
                            pass

        thread = Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname(), clients
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)


def _wait(client: socket.socket) -> None:
    """Send nothing until the client closes."""
    while client.recv(4096):
        pass


# ---- streams ----


def test_a_command_gets_its_stdin_and_its_output_is_read_up_to_an_end(nodes: Nodes) -> None:
    rules = Rules()
    with listening(rules) as address, Session(nodes.host(address), access(), Deadline(SECONDS)) as session:
        session.start("a command", b"banner\nMARK begin\nreply")
        assert session.receive(b"MARK begin\n", b"other\n") == (b"banner\n", b"MARK begin\n")
        session.send(b" of two parts\nother\nrest")
        assert session.receive(b"MARK begin\n", b"other\n") == (b"reply of two parts\n", b"other\n")
        assert session.user == "admin"
        assert 0 < session.seconds_left <= SECONDS
    assert rules.ran == ["a command"]


def test_a_reply_without_an_end_is_bounded(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_REPLY", 1000)
    with listening(Rules()) as address, Session(nodes.host(address), access(), Deadline(SECONDS)) as session:
        session.start("true", b"x" * 5000)
        with pytest.raises(RemoteError, match="its reply has more than 1000 bytes"):
            session.receive(b"MARK")


def test_a_reply_that_does_not_come_ends_at_the_deadline(nodes: Nodes) -> None:
    with listening(Rules()) as address, Session(nodes.host(address), access(), Deadline(1)) as session:
        session.start("true", b"x")
        with pytest.raises(RemoteError, match="no answer within 1 s"):
            session.receive(b"MARK")


def test_a_command_that_ends_early_is_told_from_a_lost_connection(nodes: Nodes) -> None:
    class Ending(Rules):
        def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
            channel.sendall(b"no service\n today\n")
            channel.send_exit_status(3)
            channel.close()
            return True

    with listening(Ending()) as address, Session(nodes.host(address), access(), Deadline(SECONDS)) as session:
        session.start("true", b"")
        with pytest.raises(ShellEndedError, match="ended with status 3: no service; today"):
            session.receive(b"MARK")


def test_a_connection_that_ends_is_lost(nodes: Nodes) -> None:
    class Lost(Rules):
        def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
            channel.get_transport().close()
            return True

    with listening(Lost()) as address, Session(nodes.host(address), access(), Deadline(SECONDS)) as session:
        session.start("true", b"")
        with pytest.raises(UnreachableError, match="the connection was lost"):
            session.receive(b"MARK")


def test_nothing_is_sent_or_received_before_the_start_and_closing_is_harmless(nodes: Nodes) -> None:
    with Session(nodes.host(("127.0.0.1", 1)), access(), Deadline(SECONDS)) as session:
        for use in (lambda: session.send(b"x"), lambda: session.receive(b"x")):
            with pytest.raises(RemoteError, match="not open"):
                use()


# ---- failures ----


def test_a_closed_port_and_a_name_that_does_not_exist_are_named(nodes: Nodes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    assert problem(nodes.host(address)).problem == f"Connection refused on port {address[1]}"
    assert problem(nodes.host(("no-such-host.invalid", 22))).problem == "its name cannot be resolved"


def test_a_server_that_closes_before_the_key_exchange_is_tried_again_and_its_text_quoted(nodes: Nodes) -> None:
    with answering(lambda client: client.sendall(b"Exceeded MaxStartups\r\n")) as (address, clients):
        said = problem(nodes.host(address)).problem
    assert said == f"the connection on port {address[1]} was closed before the key exchange: Exceeded MaxStartups"
    assert len(clients) == 1 + len(module.RETRY_DELAYS)


def test_a_peer_that_is_not_an_ssh_server_is_tried_once(nodes: Nodes) -> None:
    with answering(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n")) as (address, clients):
        assert problem(nodes.host(address)).problem == "not an SSH server: it sent HTTP/1.1 400 Bad Request"
    assert len(clients) == 1


def test_silence_ends_at_the_connect_timeout(nodes: Nodes) -> None:
    start = time.monotonic()
    with answering(_wait) as (address, _):
        said = problem(nodes.host(address, connect_timeout=0.3)).problem
    assert said == f"port {address[1]} accepts connections, but does not speak SSH in time"
    assert time.monotonic() - start < 5


def test_a_refused_login_names_the_user_and_a_missing_key_its_file(nodes: Nodes) -> None:
    OTHER.write_private_key_file(str(nodes.folder / "other"))
    with listening(Rules()) as address:
        said = problem(nodes.host(address, key_files=(str(nodes.folder / "other"),)))
        assert said.problem.startswith("the login as admin failed: ")
        said = problem(nodes.host(address, key_files=(str(nodes.folder / "none"),)))
        assert said.problem == f"{nodes.folder / 'none'}: No such file or directory"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_an_encrypted_key_without_its_passphrase_is_told_from_a_refused_login(nodes: Nodes) -> None:
    subprocess.run(["ssh-keygen", "-q", "-N", "open sesame", "-f", nodes.folder / "locked"], check=True)
    with listening(Rules()) as address:
        said = problem(nodes.host(address, key_files=(str(nodes.folder / "locked"),)))
    assert said.problem == "cannot load the private key: wrong or missing passphrase, or not a private key"


def test_a_refused_session_is_told_from_a_refused_login(nodes: Nodes) -> None:
    with (
        listening(Rules(session=False)) as address,
        Session(nodes.host(address), access(), Deadline(SECONDS)) as session,
        pytest.raises(UnreachableError, match="it refused a session: ") as caught,
    ):
        session.start("true", b"")
        session.receive(b"MARK")
    assert "MaxSessions" in caught.value.next_step


def test_the_stderr_of_a_proxy_command_is_the_reason_if_there_is_one(nodes: Nodes) -> None:
    host = nodes.host(("127.0.0.1", 1), proxy_command="sh -c 'echo no route to %h %p >&2'")
    assert problem(host).problem == "ProxyCommand: no route to 127.0.0.1 1"


# ---- keys, agents and names ----


@contextlib.contextmanager
def hung_agent(folder: Path) -> Iterator[str]:
    """An agent that accepts connections and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "agent"))
        listener.listen(20)
        yield str(folder / "agent")


def test_an_agent_that_does_not_answer_is_left_and_named(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ssh.client.LISTING_SECONDS", 0.3)
    with hung_agent(nodes.folder) as agent, listening(Rules()) as address:
        given = access(f"Host *\n  IdentityAgent {agent}\n")
        given = given._replace(login={})
        start = time.monotonic()
        for _ in range(2):
            assert "the SSH agent does not answer" in problem(nodes.host(address, key_files=()), given).problem
        assert time.monotonic() - start < 5
        KEY.write_private_key_file(str(nodes.folder / "id"))
        (nodes.folder / ".ssh").mkdir()
        KEY.write_private_key_file(str(nodes.folder / ".ssh/id_ecdsa"))
        with Session(nodes.host(address, key_files=()), given, Deadline(SECONDS)) as session:
            session.start("true", b"")


def test_a_silent_resolver_is_named_at_the_deadline(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [over.wait(30)])
    try:
        said = problem(nodes.host(("a.name", 22), connect_timeout=0.2))
    finally:
        over.set()
    assert said.problem == "the resolver does not answer"


# ---- hostile servers ----

MOMENTS = ("keys", "login", "success", "command")
KINDS = (1, 2, 3, 4, 5, 6, 7, 20, 21, 30, 31, 50, 51, 52, 53, 60, 80, 81, 82, *range(90, 101))
NUMBERS = (0, 1, 2, 3, 255, 2**15, 2**21, 2**31, 2**32 - 1)
TEXTS = (b"", b"exit-status", b"exit-signal", b"ssh-userauth", b"publickey", b"session", b"\xff\xfe", b"\x1b[31m")


def random_message(chance: random.Random) -> bytes:
    """Return a message of a random type with random fields, some of them cut off or of a wrong size."""
    message = bytes([chance.choice(KINDS) if chance.random() < 0.9 else chance.randrange(1, 256)])
    if chance.random() < 0.5:
        message += struct.pack(">I", 0)  # the channel of the request
    for _ in range(chance.randrange(6)):
        said = chance.choice(TEXTS)
        size = len(said) if chance.random() < 0.8 else chance.choice(NUMBERS)
        number = struct.pack(">I", chance.choice(NUMBERS))
        message += chance.choice([number, struct.pack(">I", size) + said, b"\0", b"\1"])
    return message[: chance.randrange(1, len(message) + 1)] if chance.random() < 0.1 else message


@pytest.mark.parametrize("first", range(0, 500, 100))
def test_random_messages_are_the_trouble_of_that_node_and_never_a_bug(first: int, nodes: Nodes) -> None:
    """Connect 100 times to servers that send random messages, the same ones in each run of the test."""
    problems = set()
    for seed in range(first, first + 100):
        chance = random.Random(seed)
        messages = [random_message(chance) for _ in range(chance.randrange(1, 6))]
        kind = interjecting(chance.choice(MOMENTS), *messages)
        with listening(Rules(), kind) as address:
            host = nodes.host(address, connect_timeout=0.5)
            with Session(host, access(), Deadline(0.7)) as session:
                try:
                    session.start("true", b"MARK")
                    session.receive(b"MARK")
                except NodeError as error:
                    problems.add(re.sub("[0-9]+", "N", error.problem))
                except Exception as error:
                    raise AssertionError(f"seed {seed}") from error
    assert len(problems) > 5


# ---- host keys ----


def test_an_unknown_host_key_ends_the_connection_before_the_login(nodes: Nodes) -> None:
    rules = Rules()
    with listening(rules) as address:
        host = nodes.host(address)
        Path(host.ssh.known_hosts[0]).write_text("")
        assert "its host key is unknown" in problem(host).problem
        with Session(host, access(host_keys=HostKeys.ACCEPT_NEW), Deadline(SECONDS)) as session:
            session.start("true", b"")
    assert rules.ran == ["true"]


def test_no_password_is_sent_where_the_key_has_changed_and_checking_is_off(nodes: Nodes) -> None:
    for methods in ("password", "password,keyboard-interactive"):
        rules = Rules(methods=methods)
        with listening(rules) as address:
            host = nodes.host(address, host_keys=HostKeys.OFF, password=Secret("right"), key_files=())
            known = Path(host.ssh.known_hosts[0])
            known.write_text(known.read_text().replace(HOST_KEY.get_base64(), OTHER.get_base64()))
            assert "no password was sent, because its host key is not the known one" in problem(host).problem
            assert rules.passwords == []
            known.write_text("")
            load_cache.cache_clear()
            with Session(host, access(), Deadline(SECONDS)) as session:
                session.start("true", b"")
                assert not session.unsafe
            assert rules.passwords == ["right"]


@pytest.mark.parametrize("where", ["inventory", "fabric"])
def test_a_password_is_for_the_node_and_not_for_its_jump_hosts(where: str, nodes: Nodes) -> None:
    rules = Rules(methods="password")
    with listening(rules) as address:
        host = nodes.host(("192.0.2.1", 22), proxy_jump=f"admin@127.0.0.1:{address[1]}")
        secret = Secret("right")
        given = access(host_keys=HostKeys.OFF)
        if where == "fabric":
            given = given._replace(login={**given.login, "password": secret})
        else:
            host = replace(host, ssh=replace(host.ssh, password=secret))
        assert "jump host" in problem(host, given).problem
    assert rules.passwords == []


def test_a_host_is_refused_where_ssh_config_names_a_command_for_its_keys(nodes: Nodes) -> None:
    with listening(Rules()) as address:
        said = problem(nodes.host(address), access("Host *\n  KnownHostsCommand /bin/keys %H\n"))
    assert "KnownHostsCommand" in said.problem


@pytest.mark.parametrize("known", [("none",), ("None",)])
def test_none_is_no_file(known: tuple[str, ...], nodes: Nodes) -> None:
    with listening(Rules()) as address:
        assert "unknown" in problem(nodes.host(address, known_hosts=known)).problem
    assert not Path("none").exists()


def test_known_hosts_are_read_once_for_all_hosts(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert load_known_hosts((str(tmp_path / "a"),)) is load_known_hosts((str(tmp_path / "a"),))
    assert load_known_hosts((str(tmp_path / "a"),)) is not load_known_hosts((str(tmp_path / "b"),))


@pytest.mark.parametrize("word", ["maybe", "2"])
def test_a_word_that_ssh_does_not_have_for_host_keys_is_refused_in_ssh_config_too(word: str, nodes: Nodes) -> None:
    with listening(Rules()) as address:
        said = problem(nodes.host(address), access(f"Host *\n  StrictHostKeyChecking {word}\n"))
    assert said.problem.startswith("StrictHostKeyChecking: expected one of yes, true, ask, accept-new, no, ")
    assert said.problem.endswith(f"got {word!r}")
    assert said.next_step == "correct it in ssh_config"
