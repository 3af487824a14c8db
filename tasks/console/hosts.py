"""The hosts that -H selects, as a table or as JSON, without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.cells import cell_len

from tasks.console.json_report import write_data
from tasks.console.output import Sink
from tasks.core.folding import fold
from tasks.core.host import Host
from tasks.core.redact import redact
from tasks.core.sanitize import sanitize

HEADINGS = ("NAME", "ADDRESS", "PORT", "USER", "GROUPS", "VARIABLES")


def show_hosts(hosts: Iterable[Host], sink: Sink, *, as_json: bool) -> None:
    """Print the hosts in the order of selection, and the settings that are not honoured."""
    hosts = list(hosts)
    rows = [_host_data(host) for host in hosts]
    if as_json:
        write_data({"hosts": rows}, sink)
        return
    cells = [[sanitize(_format_value(value)) for value in list(row.values())[: len(HEADINGS)]] for row in rows]
    for line in (*_column_lines([list(HEADINGS), *cells]), *map(sanitize, _not_honoured(hosts))):
        sink.file.write(f"{line}\n")


def _not_honoured(hosts: Iterable[Host]) -> Iterator[str]:
    """Yield a line for each setting of the inventory without an effect, with the hosts that have it."""
    found: dict[str, list[str]] = {}
    for host in hosts:
        for text in host.ssh.not_honoured:
            found.setdefault(text, []).append(host.name)
    for text, names in found.items():
        yield f"not honoured on {fold(names)}: {text}"


def _column_lines(rows: list[list[str]]) -> Iterator[str]:
    """Yield rows of cells as lines of columns, without a limit of width. rich's table takes seconds for thousands."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield "   ".join(padded).rstrip()


def _host_data(host: Host) -> dict[str, object]:
    variables = {name: redact(name, value) for name, value in sorted(host.variables.items())}
    return {
        "name": host.name,
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "groups": list(host.groups),
        "variables": variables,
        "not_honoured": list(host.ssh.not_honoured),
    }


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={text!r}" for name, text in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
