"""Results for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rich.console import Console

from tasks.core.model import RunSummary
from tasks.core.report import as_data


def write_json(summary: RunSummary, console: Console) -> None:
    """The whole run as one JSON document."""
    write_data(as_data(summary), console)


def write_data(data: Mapping[str, object], console: Console) -> None:
    """Plain data as JSON, one document, untouched by the terminal's width."""
    console.file.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
