"""Control a running QEMU through its QMP socket, one JSON object a line."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.errors import LabError


class Qmp:
    """Connect to one QEMU, as a context manager. Raises LabError if QEMU does not answer.

    path: the socket. timeout: seconds for the connection and for each read.
    """

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        # The path of a socket may have at most 107 bytes; through an open folder any path is short.
        folder = os.open(path.parent, os.O_PATH)
        try:
            self._socket.connect(f"/proc/self/fd/{folder}/{path.name}")
        except OSError as error:
            self._socket.close()
            raise LabError(f"QEMU does not answer on {path}: {error}") from error
        finally:
            os.close(folder)
        self._buffer = b""

    def __enter__(self) -> Self:
        self._line()  # QEMU's greeting
        self.command("qmp_capabilities")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._socket.close()

    def command(self, name: str, **arguments: str) -> dict[str, Any]:
        """Run one command, and return the object in its answer. Raises LabError if QEMU refuses the command."""
        self._socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        reply = self._line()
        while "event" in reply:
            reply = self._line()
        if "error" in reply:
            raise LabError(f"QEMU refused {name}: {reply['error']}")
        answer: dict[str, Any] = reply["return"]
        return answer

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                raise LabError("QEMU closed its QMP socket")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply
