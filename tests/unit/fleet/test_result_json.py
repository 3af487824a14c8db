"""Results as JSON: what was encoded comes back, and nothing else is taken."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.result import Identity, Item, ItemStatus, Kind, NodeResult, Status
from tasks.fleet import result_json
from tasks.fleet.result_json import decode_result, encode_result

FULL = NodeResult(
    "n1",
    Status.DRIFT,
    (
        Item(Kind.SYSCTL, "vm.x", ItemStatus.DRIFT, "1", None, "why", "step", "/etc/x:3"),
        Item(Kind.FILE, "/etc/f", ItemStatus.OK, "line\nline", "line\nline"),
    ),
    problem="p",
    next_step="s",
    notes=("a", "b"),
    seconds=1.5,
    identity=Identity("h", "m", "u", True, (1.0, 2.0), frozenset({"Swap"})),
)


def damaged(**values: object) -> str:
    """Return the JSON of FULL with other values of some fields."""
    record = json.loads(encode_result(FULL))
    for name, value in values.items():
        record[[field.name for field in fields(NodeResult)].index(name)] = value
    return json.dumps(record)


@pytest.mark.parametrize("result", [FULL, NodeResult("n1", Status.OK), replace(FULL, identity=None, items=())])
def test_a_result_comes_back_as_it_was(result: NodeResult) -> None:
    assert decode_result(encode_result(result), "n1") == result
    json.loads(encode_result(result))


@given(st.builds(NodeResult, host=st.just("n1"), status=st.sampled_from(Status), same_as=st.just("")))
def test_any_result_comes_back_but_for_unsafe_characters(result: NodeResult) -> None:
    once = decode_result(encode_result(result), "n1")
    assert decode_result(encode_result(once), "n1") == once
    assert (once.status, len(once.items), once.identity is None) == (
        result.status,
        len(result.items),
        result.identity is None,
    )


def test_escapes_of_a_worker_do_not_reach_the_terminal_and_it_speaks_for_its_own_host_alone() -> None:
    evil = decode_result(
        damaged(problem="\x1b[2J\nforged", notes=["\x07"], host="other", same_as="other").replace("vm.x", "vm\\u001bx"),
        "n1",
    )
    assert (evil.problem, evil.notes, evil.host, evil.same_as) == ("?[2J?forged", ("?",), "n1", "")
    assert evil.items[0].name == "vm?x"


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"[]",
        "",
        "{}",
        "[]",
        "[" * 100_000,
        damaged(status="fine"),
        damaged(status=1),
        damaged(items={}),
        damaged(items=[["sysctl"]]),
        damaged(items=["sysctl"]),
        damaged(notes="ab"),
        damaged(notes=[1]),
        damaged(seconds="1"),
        damaged(seconds=True),
        damaged(identity=[]),
        damaged(identity=["h", "m", "u", 1, None, []]),
        damaged(identity=["h", "m", "u", True, [1.0], []]),
        damaged().replace("1.5", "NaN"),
        damaged().replace("1.5", "Infinity"),
    ],
)
def test_anything_else_is_a_value_error(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 # whichever
        decode_result(text, "n1")


def test_a_text_without_end_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_json, "MAX_LENGTH", 10)

    def parse(*_: Any, **__: Any) -> None:
        pytest.fail("it was parsed")

    monkeypatch.setattr("tasks.fleet.result_json.json.loads", parse)
    with pytest.raises(ValueError, match="got text of 11 characters"):
        decode_result("x" * 11, "n1")


def test_every_field_of_a_result_has_a_type_that_can_travel() -> None:
    """A new field of NodeResult needs nothing here, unless its type is new."""
    assert decode_result(encode_result(FULL), "n1") is not FULL
    for field in fields(NodeResult):
        assert "Any" not in str(field.type)
        assert "object" not in str(field.type)
