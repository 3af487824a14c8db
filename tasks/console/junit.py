"""Results for CI systems, as JUnit XML."""

from __future__ import annotations

from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from tasks.console.output import Sink
from tasks.core.result import FINE, Item, ItemStatus, NodeResult, RunSummary
from tasks.core.run.report import FAILURES


def write_junit(summary: RunSummary, sink: Sink) -> None:
    """Write the whole run as JUnit XML: a suite for each node, a case for each item. A difference is a failure, a node
    without a result an error, an item that does not apply is skipped, an advisory passes with its text."""
    name, seconds = quoteattr(f"nodeprep {summary.verb}"), quoteattr(f"{summary.seconds:.3f}")
    sink.file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name={name} time={seconds}>\n')
    for result in summary.results:  # one at a time: see format_json()
        suite = _suite(result, summary.verb.name)
        ET.indent(suite)
        sink.file.write(f"{ET.tostring(suite, encoding='unicode')}\n")
    sink.file.write("</testsuites>\n")


def _suite(result: NodeResult, verb: str) -> ET.Element:
    cases = [_case(result.host, item) for item in result.items]
    if result.problem:
        cases.insert(0, _node_case(result, verb))
    count = {tag: str(sum(case.find(tag) is not None for case in cases)) for tag in ("failure", "error", "skipped")}
    suite = ET.Element(
        "testsuite",
        name=result.host,
        tests=str(len(cases)),
        failures=count["failure"],
        errors=count["error"],
        skipped=count["skipped"],
        time=f"{result.seconds:.3f}",
    )
    suite.extend(cases)
    return suite


def _node_case(result: NodeResult, verb: str) -> ET.Element:
    """Return the case of a node that failed as a whole, or was skipped."""
    case = ET.Element("testcase", classname=result.host, name=verb)
    tag = "error" if result.status in FAILURES else "skipped"
    ET.SubElement(case, tag, message=result.problem).text = result.next_step
    return case


def _case(host: str, item: Item) -> ET.Element:
    case = ET.Element("testcase", classname=f"{host}.{item.kind}", name=item.name)
    if item.status is ItemStatus.SKIPPED:
        ET.SubElement(case, "skipped", message=item.why)
    elif item.status is ItemStatus.ADVISORY:
        ET.SubElement(case, "system-out").text = f"{_outcome(item)}\n{_explanation(item)}"
    elif item.status not in FINE:
        ET.SubElement(case, "failure", message=_outcome(item)).text = _explanation(item)
    return case


def _outcome(item: Item) -> str:
    return f"{item.status}: expected {item.expected}, got {item.found}"


def _explanation(item: Item) -> str:
    return "\n".join(filter(None, (item.why, item.next_step)))
