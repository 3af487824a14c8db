"""Run the work with a paramiko prototype: one connection, one exec and one script a host, in a bounded pool of threads.

It is tuned: TCP_NODELAY before the handshake, buffered reads, no timer thread, GCM, one parsed known_hosts, one loaded
key. It lacks nodeprep's further steps: no inventory, no templates, no plan, no second look, no summary.
"""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import paramiko
from paramiko import Transport
from paramiko.ed25519key import Ed25519Key
from paramiko.packet import Packetizer

from bench.peers import site

SECONDS = 15


class Quiet(Packetizer):
    """Drop the threading.Timer that bounds each handshake."""

    def start_handshake(self, timeout: float) -> None:
        """Start no timer."""


class Buffered:
    """Read a socket in large pieces: Packetizer asks for one header or one body at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.data = sock, b""
        self.send, self.settimeout, self.close = sock.send, sock.settimeout, sock.close
        self.getpeername = sock.getpeername

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes."""
        if not self.data:
            self.data = self.sock.recv(65536)
        piece, self.data = self.data[:size], self.data[size:]
        return piece

    @property
    def _closed(self) -> Any:
        return self.sock._closed  # type: ignore[attr-defined]


class Lean(Transport):
    """Prefer the cheapest of OpenSSH's default algorithms, and write no log."""

    _preferred_kex = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
    _preferred_ciphers = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
    _preferred_macs = ("hmac-sha2-256",)
    _preferred_keys = ("ssh-ed25519",)

    def _log(self, level: int, msg: object, *args: object) -> None:
        pass


def run_on_host(host: str, script: bytes, key: Ed25519Key, known: str) -> tuple[str, str, int]:
    """Run the script on a host, and return the host, the output and the exit code.

    known: the known host key in Base64. Raises BadHostKeyException for another key.
    """
    sock = socket.create_connection((host, site.PORT), SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = Lean(Buffered(sock), packetizer_class=Quiet)  # type: ignore[arg-type]
    transport.start_client(timeout=SECONDS)
    shown = transport.get_remote_server_key()
    if shown.get_base64() != known:
        raise paramiko.BadHostKeyException(host, shown, shown)
    transport.auth_publickey("root", key)
    channel = transport.open_session()
    channel.exec_command("sh -s")
    channel.sendall(script)
    channel.shutdown_write()
    text = b"".join(iter(lambda: channel.recv(65536), b"")).decode()
    code = channel.recv_exit_status()
    sock.shutdown(socket.SHUT_RDWR)
    transport.close()
    return host, text, code


def main() -> bool:
    """Run the script on all hosts; return True if no item failed anywhere."""
    script, key, known = site.script().encode(), Ed25519Key(filename=str(site.KEY)), site.known_hosts()
    with ThreadPoolExecutor(site.FORKS) as pool:
        done = pool.map(lambda host: run_on_host(host, script, key, known[host]), site.hosts())
        return all([site.report(*each) for each in done])  # noqa: C419 # each is reported, also after a failure


if __name__ == "__main__":
    sys.exit(not main())
