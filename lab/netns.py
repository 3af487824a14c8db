"""Move a thread into a network namespace."""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNET = 0x40000000


def enter(name: str) -> None:
    """Move the calling thread into a named network namespace. Raises OSError if there is none, or without root."""
    fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, _CLONE_NEWNET):  # os.setns() came with Python 3.12
            raise OSError(ctypes.get_errno(), f"setns {name}")
    finally:
        os.close(fd)
