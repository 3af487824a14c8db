"""Files of the admin: read as UTF-8 text, written as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tasks.core.errors import SourceError, UsageError

ROOT = Path(__file__).resolve().parents[2]


def read_text(path: Path, error: type[SourceError]) -> str:
    """Return a text file without its byte order mark. Raise `error` if it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as reason:
        raise error(display_path(path), 0, "expected UTF-8 text") from reason
    except OSError as reason:
        raise error(display_path(path), 0, f"cannot be read: {reason.strerror}") from reason


def display_path(path: Path) -> str:
    """Return a path for messages: relative to the working directory if it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def check_writable(path: Path) -> None:
    """Raise UsageError unless write_whole() can write that file, as far as that can be known now.

    A link is replaced and not followed: in a folder like /tmp, others choose where it leads.
    """
    folder = path.parent.resolve()
    is_system = folder == Path("/dev") or Path("/proc") in folder.parents  # root would replace the link /dev/stdout
    if is_system or (path.exists() and not path.is_file()):
        raise UsageError(f"--report {path}: expected a file, got something else")
    try:
        with _temporary_path(path).open("x"):
            _temporary_path(path).unlink()
    except OSError as error:
        raise UsageError(f"--report {path}: cannot be written: {error.strerror} ({folder})") from error


def write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Write a file as a whole: a reader, or a crash, finds the old text or the new one. Raise OSError.

    A link is replaced by the file; its target stays as it is.
    """
    temporary = _temporary_path(path)
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")
