"""Read from the report of a run what has to be done again."""

from __future__ import annotations

import json

from tasks.core.errors import SourceError
from tasks.core.result import Status
from tasks.core.run.report import is_unfinished

_OWN_REPORT = "the report of an earlier run (--report FILE)"


def unfinished_hosts(text: str, source: str) -> tuple[str, ...]:
    """Return the nodes of a report that failed, were unreachable, or were not done because the run ended before.

    In the order of that run's selection. source: the file as the admin knows it. Raises SourceError for a text that is
    not a report, and for a report that leaves nothing to do.
    """
    try:
        nodes = json.loads(text, object_hook=_drop_item)["nodes"]
        outcomes = [(node["host"], Status(node["status"]), node["same_as"]) for node in nodes]
    except json.JSONDecodeError as error:
        raise SourceError(source, error.lineno, f"expected {_OWN_REPORT}, got no JSON: {error.msg}") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise SourceError(source, 0, f"expected {_OWN_REPORT}, got another JSON document") from None
    if not all(isinstance(host, str) for host, _, _ in outcomes):
        raise SourceError(source, 0, f"expected {_OWN_REPORT}, got a node whose host is not a text")
    unfinished = tuple(dict.fromkeys(host for host, status, same_as in outcomes if is_unfinished(status, same_as)))
    if not unfinished:
        raise SourceError(source, 0, f"nothing to do again: all of its {len(outcomes)} nodes are done")
    return unfinished


def _drop_item(found: dict[str, object]) -> object:
    """Return an object of a report as it is read, but None for a module, key, file or check: there are 200,000."""
    return None if "kind" in found else found
