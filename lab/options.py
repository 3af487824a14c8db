"""Parse the options of the `lab.*` tasks, and name their defaults."""

from __future__ import annotations

import os
from pathlib import Path

from lab.errors import LabUsageError

PROJECT = Path(__file__).parents[1]
FIRST_PORT = 2201


def state_folder() -> Path:
    """Return the absolute path of the folder of the `lab.*` tasks: NODEPREP_LAB_DIR, else .lab in the project."""
    return Path(os.environ.get("NODEPREP_LAB_DIR") or PROJECT / ".lab").absolute()


def parse_number(option: str, text: str, most: int) -> int:
    """Parse the value of an option, a number from 1 to `most`.

    Raises LabUsageError, which names the option, for anything else; invoke itself would end with a traceback.
    """
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise LabUsageError(f"{option}: expected a number from 1 to {most}, got {text}")
    return int(text)
