"""The JSON document, read by a schema validator; and what a terminal would act on in it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.console.json_report import format_json, write_data, write_json
from tasks.core.result import Change, Identity, Item, ItemStatus, Kind, NodeResult, RunSummary, Status
from tasks.core.sanitize import UNSAFE_CHARACTERS
from tasks.core.version import VERSION
from tests.support.runs import RUN
from tests.support.screens import plain, written
from tests.support.verbs import VERBS

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/report.schema.json").read_text())


def test_the_json_report_is_what_the_schema_says() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(written(write_json, RUN)), SCHEMA)


@pytest.mark.parametrize(("field", "value"), [("verb", "destroy"), ("exit_code", 1), ("nodes", None), ("more", 1)])
def test_the_schema_refuses_another_report(field: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(written(write_json, RUN)) | {field: value}, SCHEMA)


def test_every_status_has_its_place_in_the_schema() -> None:
    assert set(SCHEMA["$defs"]["item"]["properties"]["status"]["enum"]) == set(map(str, ItemStatus))
    assert set(SCHEMA["$defs"]["item"]["properties"]["kind"]["enum"]) == set(map(str, Kind))
    assert set(SCHEMA["$defs"]["status"]["enum"]) == set(map(str, Status))


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_with_a_run_has_its_place_in_the_schema(verb: str) -> None:
    assert (verb in SCHEMA["properties"]["verb"]["enum"]) is (verb != "hosts")


def test_what_identifies_a_node_is_in_no_report() -> None:
    own = Identity("n1", "0123-machine", "0123-product", unreadable=False, clock=(1.0, 2.0))
    run = RunSummary(VERBS["verify"], (NodeResult("n1", Status.OK, identity=own),), 1.0)
    jsonschema.validate(json.loads(written(write_json, run)), SCHEMA)
    assert "0123" not in written(write_json, run)


def test_what_is_for_listings_and_for_the_summary_is_in_no_report() -> None:
    item = Item(Kind.FILE, "/etc/a", ItemStatus.CHANGED, "absent", None, change=Change.TAKE_BACK)
    result = NodeResult("n1", Status.CHANGED, (item,), files=(("/etc/a", "secret text"),))
    text = written(write_json, RunSummary(VERBS["apply"], (result,), 1.0))
    jsonschema.validate(json.loads(text), SCHEMA)
    assert "secret text" not in text


def test_a_run_is_one_json_document_however_wide_it_is() -> None:
    screen, stream = plain()
    write_json(RunSummary(VERBS["plan"], (NodeResult("n1", Status.OK, problem="ü" * 500),), 1.0), screen)
    assert json.loads(stream.getvalue())["nodes"][0]["problem"] == "ü" * 500
    assert "ü" in stream.getvalue()


ODD = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\x1b\x9b\x7f\u202e\u2028\U000e0041\n"))
)


VALUES = st.recursive(ODD | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(ODD, inner))


@given(st.dictionaries(ODD, VALUES, max_size=4))
def test_json_says_everything_and_holds_nothing_that_a_terminal_acts_on(data: dict[str, object]) -> None:
    screen, stream = plain()
    write_data(data, screen)
    assert json.loads(stream.getvalue()) == data
    assert not UNSAFE_CHARACTERS.search(stream.getvalue().replace("\n", ""))


OK = Item(Kind.SYSCTL, "vm.x", ItemStatus.OK, "1", "1")
DRIFT = OK._replace(status=ItemStatus.DRIFT, got="0")


RUN_OF_TWO = RunSummary(
    VERBS["verify"],
    (NodeResult("n1", Status.DRIFT, (OK, DRIFT), seconds=1.0), NodeResult("n2", Status.OK, seconds=1.0)),
    2.0,
)


def test_the_data_holds_every_item_and_the_verdict() -> None:
    data = json.loads("".join(format_json(RUN_OF_TWO)))
    assert data == {
        "version": VERSION,
        "verb": "verify",
        "exit_code": 3,
        "interrupted": False,
        "seconds": 2.0,
        "counts": {"drift": 1, "ok": 1},
        "nodes": [
            {
                "host": "n1",
                "status": "drift",
                "items": [
                    {
                        "kind": "sysctl",
                        "name": "vm.x",
                        "status": "ok",
                        "expected": "1",
                        "got": "1",
                        "why": "",
                        "next_step": "",
                        "decided_by": "",
                    },
                    {
                        "kind": "sysctl",
                        "name": "vm.x",
                        "status": "drift",
                        "expected": "1",
                        "got": "0",
                        "why": "",
                        "next_step": "",
                        "decided_by": "",
                    },
                ],
                "problem": "",
                "next_step": "",
                "notes": [],
                "seconds": 1.0,
                "same_as": "",
            },
            {
                "host": "n2",
                "status": "ok",
                "items": [],
                "problem": "",
                "next_step": "",
                "notes": [],
                "seconds": 1.0,
                "same_as": "",
            },
        ],
    }
