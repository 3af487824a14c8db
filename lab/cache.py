"""Find the one folder for things that the lab makes once: images of nodes, compiled programs, a host key."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    """Return the path of the cache: NODEPREP_LAB_CACHE, else ~/.cache/nodeprep-lab. The folder may be missing."""
    return Path(os.environ.get("NODEPREP_LAB_CACHE") or Path.home() / ".cache" / "nodeprep-lab")


def make_cache_folder() -> Path:
    """Create the cache folder with mode 0700 if it is missing, and return its path."""
    folder = cache_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def cached_file(name: str, make: Callable[[Path], None]) -> Path:
    """Return the path of a file of the cache; if it is missing, call `make` with the path to write it to.

    It is made beside its place and renamed, so two processes that make the same file cannot hurt each other.
    """
    wanted = make_cache_folder() / name
    if not wanted.exists():
        with tempfile.TemporaryDirectory(dir=wanted.parent) as folder:
            make(Path(folder) / name)
            (Path(folder) / name).replace(wanted)
    return wanted
