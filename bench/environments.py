"""One virtual environment for each peer, so that none drags in another's packages; built once, from pins/."""

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
    """Where the environments are: NODEPREP_BENCH_CACHE, or a folder of the user's cache."""
    return Path(os.environ.get("NODEPREP_BENCH_CACHE") or Path.home() / ".cache" / "nodeprep-bench")


def program(environment: str, name: str) -> str:
    """The path of a program of an environment."""
    return str(cache() / environment / "bin" / name)


def build(name: str) -> None:
    """Makes an environment, unless it is there and its pins are the same."""
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
    # Bytecode, or whoever runs first pays for it. Errors do not matter: Ansible ships sources that are no Python.
    subprocess.run([folder / "bin/python", "-m", "compileall", "-qq", folder / "lib"], check=False)
    made.write_text(stamp, encoding="ascii")


def _stamp(name: str) -> str:
    """Changes with the pins, with what nodeprep requires, and with Python."""
    files = [PINS / f"{name}.txt", ROOT / "requirements.txt"]
    return hashlib.sha256(b"".join(map(Path.read_bytes, files)) + sys.version.encode()).hexdigest()


def compile_nodeprep() -> None:
    """The same for nodeprep's own files."""
    files = [ROOT / "fabfile.py", ROOT / "tasks", ROOT / "lab"]
    subprocess.run([program("fabric", "python"), "-m", "compileall", "-qq", *files], check=True)
