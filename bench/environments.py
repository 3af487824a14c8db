"""Build a virtual environment for each peer, so that none shares packages with another, once, from pins/."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).parent / "pins"
ROOT = PINS.parents[1]
NAMES = tuple(sorted(path.stem for path in PINS.glob("*.txt")))


def cache() -> Path:
    """Return the folder of the environments: NODEPREP_BENCH_CACHE, else ~/.cache/nodeprep-bench."""
    return Path(os.environ.get("NODEPREP_BENCH_CACHE") or Path.home() / ".cache" / "nodeprep-bench")


def program(environment: str, name: str) -> str:
    """Return the path of a program of an environment."""
    return str(cache() / environment / "bin" / name)


def build(name: str) -> None:
    """Build an environment, unless it is there and was built from the same pins. Raises CalledProcessError."""
    folder, stamp = cache() / name, _stamp(name)
    made = folder / "made-from"
    if made.exists() and made.read_text(encoding="ascii") == stamp:
        return
    print(f"building the environment {name}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", PINS / f"{name}.txt"], check=True)
    # Without bytecode the first run would pay for it. Errors do not matter: Ansible ships files that are not Python.
    subprocess.run([folder / "bin/python", "-m", "compileall", "-qq", folder / "lib"], check=False)
    made.write_text(stamp, encoding="ascii")


def _stamp(name: str) -> str:
    """Return a hash that changes with the pins, with nodeprep's requirements and with Python."""
    files = [PINS / f"{name}.txt", ROOT / "requirements.txt"]
    return hashlib.sha256(b"".join(map(Path.read_bytes, files)) + sys.version.encode()).hexdigest()


def compile_nodeprep() -> None:
    """Compile nodeprep's own files to bytecode, so that no run pays for it. Raises CalledProcessError."""
    files = [ROOT / "fabfile.py", ROOT / "tasks", ROOT / "lab"]
    subprocess.run([program("fabric", "python"), "-m", "compileall", "-qq", *files], check=True)
