"""The outputs for machines, read by real consumers: a schema validator and a JUnit parser."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from rich.console import Console

from tasks.console.json_report import write_json
from tasks.console.junit import write_junit
from tasks.core.errors import RemoteError
from tasks.core.result import Identity, Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tasks.node.results import failure_result, make_result
from tests.support.builders import host

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/report.schema.json").read_text())
ITEMS = tuple(
    Item(
        Kind.SYSCTL, f"net.x.{status}", status, "1", None if status is ItemStatus.MISSING else "<0> & \"'", "why", "do"
    )
    for status in ItemStatus
)
RUN = RunSummary(
    "verify",
    (
        NodeResult("n1", Status.DRIFT, ITEMS, notes=("a note",), seconds=1.5),
        NodeResult("n2", Status.UNREACHABLE, problem="no answer", next_step="look", seconds=10.0),
        NodeResult("n3", Status.SKIPPED, problem="the same node as n1"),
        NodeResult("n4", Status.OK, (Item(Kind.MODULE, "overlay", ItemStatus.OK, "loaded", "loaded"),)),
    ),
    12.3456,
)


def written(write: object, run: RunSummary = RUN) -> str:
    stream = io.StringIO()
    write(run, Console(file=stream))  # type: ignore[operator]
    return stream.getvalue()


def test_the_json_report_is_what_the_schema_says() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(written(write_json)), SCHEMA)


@pytest.mark.parametrize(("field", "value"), [("verb", "destroy"), ("exit_code", 1), ("nodes", None), ("more", 1)])
def test_the_schema_refuses_another_report(field: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(written(write_json)) | {field: value}, SCHEMA)


def test_every_status_has_its_place_in_the_schema() -> None:
    assert set(SCHEMA["$defs"]["item"]["properties"]["status"]["enum"]) == set(map(str, ItemStatus))
    assert set(SCHEMA["$defs"]["item"]["properties"]["kind"]["enum"]) == set(map(str, Kind))
    assert set(SCHEMA["$defs"]["status"]["enum"]) == set(map(str, Status))


def test_a_junit_parser_finds_a_suite_a_node_and_a_case_a_check() -> None:
    suites = {suite.name: suite for suite in JUnitXml.fromstring(written(write_junit).encode())}
    assert list(suites) == ["n1", "n2", "n3", "n4"]
    kinds = {case.name: type(case.result[0]) if case.result else None for case in suites["n1"]}
    good = {"net.x.ok": None, "net.x.changed": None, "net.x.advisory": None, "net.x.skipped": Skipped}
    assert kinds == {item.name: Failure for item in ITEMS} | good
    assert (suites["n1"].tests, suites["n1"].failures, suites["n1"].skipped) == (9, 5, 1)
    assert [type(case.result[0]) for case in suites["n2"]] == [Error]
    assert [type(case.result[0]) for case in suites["n3"]] == [Skipped]
    assert [case.result for case in suites["n4"]] == [[]]


def test_advice_passes_in_junit_and_says_what_it_is() -> None:
    suite = next(iter(JUnitXml.fromstring(written(write_junit).encode())))
    case = next(case for case in suite if case.name == "net.x.advisory")
    assert (case.result, case.system_out) == ([], "advisory: expected 1, got <0> & \"'\nwhy\ndo")


def test_whatever_xml_forbids_is_shown_of_no_node() -> None:
    allowed = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd]")  # XML 1.0, [2] Char, of the first plane
    forbidden = [char for char in map(chr, range(0x10000)) if not allowed.match(char)]
    item = Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", "".join(forbidden), "\ufffe", "\uffff")
    broken = failure_result(host("n2"), RemoteError("it said \ufffe", "\uffff"))
    run = RunSummary("verify", (make_result(host("n1"), [item], Status.DRIFT), broken), 1.0)
    assert len(JUnitXml.fromstring(written(write_junit, run).encode())) == 2


def test_what_identifies_a_node_is_in_no_report() -> None:
    own = Identity("n1", "0123-machine", "0123-product", unreadable=False, clock=(1.0, 2.0))
    run = RunSummary("verify", (NodeResult("n1", Status.OK, identity=own),), 1.0)
    jsonschema.validate(json.loads(written(write_json, run)), SCHEMA)
    assert "0123" not in written(write_json, run) + written(write_junit, run)


def test_a_failure_says_what_was_expected_what_was_got_and_what_to_do() -> None:
    suite = next(iter(JUnitXml.fromstring(written(write_junit).encode())))
    case = next(case for case in suite if case.name == "net.x.drift")
    assert (case.result[0].message, case.result[0].text) == ("drift: expected 1, got <0> & \"'", "why\ndo")
