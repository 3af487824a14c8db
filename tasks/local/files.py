"""Files of the admin: read as UTF-8 text, written as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tasks.core.errors import SourceError, UsageError

ROOT = Path(__file__).resolve().parents[2]


def read_text(path: Path, error: type[SourceError]) -> str:
    """A text file without its byte order mark, as one clear error if it is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as reason:
        raise error(display_path(path), 0, "expected UTF-8 text") from reason
    except OSError as reason:
        raise error(display_path(path), 0, f"cannot be read: {reason.strerror}") from reason


def display_path(path: Path) -> str:
    """A path as the admin would name it: relative to where they are, if it is below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def check_writable(path: Path) -> None:
    """Raises UsageError unless save() can write that file, as far as that can be known now."""
    target = path.resolve()  # a link stays, and what it leads to is written
    if target.exists() and not target.is_file():
        raise UsageError(f"--report {path}: expected a file, got something else")
    try:
        with _draft(target).open("x"):
            _draft(target).unlink()
    except OSError as error:
        raise UsageError(f"--report {path}: cannot be written: {error.strerror} ({target.parent})") from error


def write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Writes a file as a whole: whoever reads it, or whatever breaks, finds the old text or the new. Raises OSError."""
    target = path.resolve()
    draft = _draft(target)
    try:
        with draft.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _draft(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")
