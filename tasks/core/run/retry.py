"""What of a run has to be done again, read from its report; and the command that goes on from it, as it was typed."""

from __future__ import annotations

import json

from tasks.core.errors import SourceError
from tasks.core.result import Status
from tasks.core.run.report import is_unfinished

_OWN_REPORT = "the report of an earlier run (--report FILE)"


def unfinished_hosts(text: str, source: str) -> tuple[str, ...]:
    """The nodes of a report that failed, were unreachable, or were not done because the run ended before.

    In the order of that run's selection. source: the file as the admin knows it. Raises SourceError for a text that is
    no report.
    """
    try:
        nodes = json.loads(text, object_hook=_without_items)["nodes"]
        told = [(node["host"], Status(node["status"]), node["same_as"]) for node in nodes]
    except json.JSONDecodeError as error:
        raise SourceError(source, error.lineno, f"expected {_OWN_REPORT}, got no JSON: {error.msg}") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise SourceError(source, 0, f"expected {_OWN_REPORT}, got another JSON document") from None
    if not all(isinstance(host, str) for host, _, _ in told):
        raise SourceError(source, 0, f"expected {_OWN_REPORT}, got a node whose host is no text")
    again = tuple(host for host, status, same_as in told if is_unfinished(status, same_as))
    if not again:
        raise SourceError(source, 0, f"nothing to do again: all of its {len(told)} nodes are done")
    return again


def _without_items(found: dict[str, object]) -> object:
    """A report's object as it is read, but of modules, keys and files nothing is kept: there are 200,000 of them."""
    return None if "kind" in found else found
