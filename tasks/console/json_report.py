"""Results for machines: one JSON document (docs/report.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from tasks.console.output import Sink
from tasks.core.result import Item, NodeResult, RunSummary
from tasks.core.run.report import exit_code, is_unfinished, status_counts
from tasks.core.sanitize import UNSAFE_CHARACTERS
from tasks.core.version import VERSION

NODE_FIELDS = ("host", "status", "items", "problem", "next_step", "notes", "seconds", "same_as")
ITEM_FIELDS = ("kind", "name", "status", "expected", "got", "why", "next_step", "decided_by")
UNFINISHED_FIELDS = ("host", "status", "problem", "next_step")


def format_json(summary: RunSummary) -> Iterator[str]:
    """Yield the whole run as one JSON document: --format json prints it and --report keeps it.

    In pieces, each a line with one node: as one text a run of thousands of nodes would take half a gigabyte.
    """
    yield f'{_escape(json.dumps(run_data(summary), ensure_ascii=False))[:-1]}, "nodes": ['
    for number, result in enumerate(summary.results):
        yield f"{',' if number else ''}\n{_escape(json.dumps(node_data(result), ensure_ascii=False))}"
    yield "\n]}\n"


def write_json(summary: RunSummary, sink: Sink) -> None:
    """Write the whole run as one JSON document, whatever the terminal's width."""
    sink.file.writelines(format_json(summary))


def write_by_host(name: str, found: Mapping[str, object], results: Iterable[NodeResult], sink: Sink) -> None:
    """Write a listing as one JSON document: `found` by host, and the nodes that have no result as `unfinished`."""
    left = [result for result in results if is_unfinished(result.status, result.same_as)]
    unfinished = [{each: getattr(result, each) for each in UNFINISHED_FIELDS} for result in left]
    write_data({name: found, "unfinished": unfinished}, sink)


def write_data(data: Mapping[str, object], sink: Sink) -> None:
    """Write plain data as one JSON document, whatever the terminal's width."""
    lines = json.dumps(data, indent=2, ensure_ascii=False).split("\n")
    sink.file.write("".join(f"{_escape(line)}\n" for line in lines))


def _escape(line: str) -> str:
    """Escape the characters of a line of JSON that a terminal would act on."""
    return UNSAFE_CHARACTERS.sub(lambda bad: json.dumps(bad[0])[1:-1], line)


def run_data(summary: RunSummary) -> dict[str, object]:
    """Return the run as plain data for JSON, without its nodes."""
    return {
        "version": VERSION,
        "verb": summary.verb.name,
        "exit_code": exit_code(summary),
        "interrupted": summary.interrupted,
        "seconds": round(summary.seconds, 3),
        "counts": {str(status): count for status, count in status_counts(summary.results).items()},
    }


def node_data(result: NodeResult) -> dict[str, object]:
    """Return one node as plain data for JSON, with every item."""
    data = {name: getattr(result, name) for name in NODE_FIELDS}
    return {**data, "seconds": round(result.seconds, 3), "items": [_item_data(item) for item in result.items]}


@lru_cache(maxsize=4096)  # thousands of nodes share their items
def _item_data(item: Item) -> Mapping[str, object]:
    return {name: getattr(item, name) for name in ITEM_FIELDS}
