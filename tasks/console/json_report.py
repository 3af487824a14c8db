"""Results for machines: one JSON document (docs/report.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import lru_cache

from tasks.console.output import Sink
from tasks.core.result import Item, NodeResult, RunSummary
from tasks.core.run.report import exit_code, is_unfinished, status_counts
from tasks.core.sanitize import UNSAFE_CHARACTERS


def format_json(summary: RunSummary) -> Iterator[str]:
    """The whole run as one JSON document: what --format json prints and --report keeps.

    In pieces, each a line with one node: as one text a run of thousands of nodes would take half a gigabyte.
    """
    yield f'{_escaped(json.dumps(run_data(summary), ensure_ascii=False))[:-1]}, "nodes": ['
    for number, result in enumerate(summary.results):
        yield f"{',' if number else ''}\n{_escaped(json.dumps(node_data(result), ensure_ascii=False))}"
    yield "\n]}\n"


def write_json(summary: RunSummary, sink: Sink) -> None:
    """The whole run as one JSON document, untouched by the terminal's width."""
    sink.file.writelines(format_json(summary))


def write_found(name: str, found: Mapping[str, object], results: Iterable[NodeResult], sink: Sink) -> None:
    """What a verb has found on each node, by host, and the nodes that it has nothing of, as one JSON document."""
    fields = ("host", "status", "problem", "next_step")
    left = [result for result in results if is_unfinished(result.status, result.same_as)]
    write_data({name: found, "unfinished": [{each: getattr(one, each) for each in fields} for one in left]}, sink)


def write_data(data: Mapping[str, object], sink: Sink) -> None:
    """Plain data as one JSON document, untouched by the terminal's width."""
    lines = json.dumps(data, indent=2, ensure_ascii=False).split("\n")
    sink.file.write("".join(f"{_escaped(line)}\n" for line in lines))


def _escaped(line: str) -> str:
    """A line of JSON in which what a terminal acts on is escaped."""
    return UNSAFE_CHARACTERS.sub(lambda bad: json.dumps(bad[0])[1:-1], line)


def run_data(summary: RunSummary) -> dict[str, object]:
    """The run as plain data for JSON, without its nodes."""
    return {
        "verb": summary.verb,
        "exit_code": exit_code(summary),
        "interrupted": summary.interrupted,
        "seconds": round(summary.seconds, 3),
        "counts": {str(status): count for status, count in status_counts(summary.results).items()},
    }


def node_data(result: NodeResult) -> dict[str, object]:
    """One node as plain data for JSON, with every item."""
    names = [field.name for field in fields(result) if field.name != "identity"]
    data = {name: getattr(result, name) for name in names}
    return {**data, "seconds": round(result.seconds, 3), "items": [_item_data(item) for item in result.items]}


@lru_cache(maxsize=4096)  # thousands of nodes share their items
def _item_data(item: Item) -> Mapping[str, object]:
    return item._asdict()
