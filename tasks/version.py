"""fab version"""

from __future__ import annotations

import sys
from typing import Any

from invoke import task


@task  # type: ignore[untyped-decorator] # invoke publishes no types
def version(_: Any) -> None:
    """Print the version of nodeprep (`fab --version` is fabric's)."""
    from tasks.core.version import VERSION

    sys.stdout.write(f"nodeprep {VERSION}\n")
