"""JUnit XML, read by a JUnit parser."""

from __future__ import annotations

import re

from junitparser import Error, Failure, JUnitXml, Skipped

from tasks.console.junit import write_junit
from tasks.core.errors import RemoteError
from tasks.core.result import Identity, Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tasks.node.results import failure_result, make_result
from tests.support.builders import host
from tests.support.runs import ITEMS, RUN
from tests.support.screens import written
from tests.support.verbs import VERBS


def test_a_junit_parser_finds_a_suite_a_node_and_a_case_a_check() -> None:
    suites = {suite.name: suite for suite in JUnitXml.fromstring(written(write_junit, RUN).encode())}
    assert list(suites) == ["n1", "n2", "n3", "n4"]
    kinds = {case.name: type(case.result[0]) if case.result else None for case in suites["n1"]}
    good = {"net.x.ok": None, "net.x.changed": None, "net.x.advisory": None, "net.x.skipped": Skipped}
    assert kinds == {item.name: Failure for item in ITEMS} | good
    assert (suites["n1"].tests, suites["n1"].failures, suites["n1"].skipped) == (9, 5, 1)
    assert [type(case.result[0]) for case in suites["n2"]] == [Error]
    assert [type(case.result[0]) for case in suites["n3"]] == [Skipped]
    assert [case.result for case in suites["n4"]] == [[]]


def test_advice_passes_in_junit_and_says_what_it_is() -> None:
    suite = next(iter(JUnitXml.fromstring(written(write_junit, RUN).encode())))
    case = next(case for case in suite if case.name == "net.x.advisory")
    assert (case.result, case.system_out) == ([], "advisory: expected 1, got <0> & \"'\nwhy\ndo")


def test_whatever_xml_forbids_is_shown_of_no_node() -> None:
    allowed = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd]")  # XML 1.0, [2] Char, of the first plane
    forbidden = [char for char in map(chr, range(0x10000)) if not allowed.match(char)]
    item = Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", "".join(forbidden), "\ufffe", "\uffff")
    broken = failure_result(host("n2"), RemoteError("it said \ufffe", "\uffff"))
    run = RunSummary(VERBS["verify"], (make_result(host("n1"), [item], Status.DRIFT), broken), 1.0)
    assert len(JUnitXml.fromstring(written(write_junit, run).encode())) == 2


def test_a_failure_says_what_was_expected_what_was_got_and_what_to_do() -> None:
    suite = next(iter(JUnitXml.fromstring(written(write_junit, RUN).encode())))
    case = next(case for case in suite if case.name == "net.x.drift")
    assert (case.result[0].message, case.result[0].text) == ("drift: expected 1, got <0> & \"'", "why\ndo")


def test_what_identifies_a_node_is_not_in_junit() -> None:
    own = Identity("n1", "0123-machine", "0123-product", unreadable=False, clock=(1.0, 2.0))
    run = RunSummary(VERBS["verify"], (NodeResult("n1", Status.OK, identity=own),), 1.0)
    assert "0123" not in written(write_junit, run)
