"""What the fleet starts from: programs built once, keys, and processes that say when they are ready."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

HERE = Path(__file__).parent
Process = subprocess.Popen[bytes]
Log = IO[bytes]


class FleetError(RuntimeError):
    """The fleet cannot be what it promises on this machine."""


def run(*command: str) -> str:
    """The stdout of a command that has to succeed; what it said otherwise is in the FleetError."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise FleetError(f"{command[0]} is not installed") from error
    if done.returncode:
        raise FleetError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait_until(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Looks until a condition holds, but not for ever: then it is a FleetError that says what did not happen."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise FleetError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.01)


def _cache() -> Path:
    folder = Path(os.environ.get("NODEPREP_LAB_CACHE") or Path.home() / ".cache" / "nodeprep-lab")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """A file of the cache, made beside its place and renamed: fleets that start together cannot hurt each other."""
    wanted = _cache() / name
    if not wanted.exists():
        with tempfile.TemporaryDirectory(dir=wanted.parent) as folder:
            make(Path(folder) / name)
            (Path(folder) / name).replace(wanted)
    return wanted


def program(name: str) -> Path:
    """A C program of this folder, compiled when its source was never seen before."""
    source = HERE / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]

    def compile_to(target: Path) -> None:
        run("cc", "-O2", "-Wall", "-o", str(target), str(source))

    return _cached(f"{name}-{platform.machine()}-{digest}", compile_to)


def save_key(path: Path, key: PrivateKey) -> str:
    """Writes a key pair in OpenSSH's format, without a passphrase; the public key, `TYPE BASE64`."""
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    path.with_name(f"{path.name}.pub").write_text(f"{public} nodeprep-fleet\n", encoding="ascii")
    return public


def new_key(path: Path) -> str:
    """A new Ed25519 key pair; made in this process, since ssh-keygen for each of 1000 nodes takes seconds."""
    return save_key(path, Ed25519PrivateKey.generate())


def new_ecdsa_key(path: Path) -> str:
    """A new ECDSA key pair on NIST's P-256."""
    return save_key(path, ec.generate_private_key(ec.SECP256R1()))


def rsa_key() -> Path:
    """An RSA host key from the cache: a new one may take a second."""

    def make(target: Path) -> None:
        save_key(target, rsa.generate_private_key(65537, 3072))

    return _cached("host-rsa", make)


def start(command: Sequence[str], log: Log) -> tuple[Process, list[str]]:
    """A process that answers "ready ..." on stdout, and the words after that. Its stderr goes to the log.

    It is in a session of its own: Ctrl-C at a test run must reach the run, which then ends its fleet in order.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    assert process.stdout
    said = process.stdout.readline().decode().split()
    if said[:1] != ["ready"]:
        end(process)
        log.seek(0)
        raise FleetError(f"{Path(command[0]).name} did not start: {log.read().decode(errors='replace').strip()}")
    return process, said[1:]


def end(process: Process) -> None:
    """Ends a process that was started here, by force when asking does not help."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def children(pid: int) -> list[int]:
    """The processes whose parent this one is; none when it is gone."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    return [each for child in children(pid) for each in (child, *descendants(child))]
