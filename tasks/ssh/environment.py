"""The environment of the programs that we start: the admin's, without the sudo password."""

from __future__ import annotations

import os

SECRET_VARIABLE = "FABRIC_SUDO_PASSWORD"  # noqa: S105 # a name


def child_environment() -> dict[str, str]:
    """Return our environment without the sudo password, which a child and all it runs would inherit."""
    return {name: value for name, value in os.environ.items() if name != SECRET_VARIABLE}
