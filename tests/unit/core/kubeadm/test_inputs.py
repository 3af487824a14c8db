"""Helpers of checks: kubeadm's names, and versions."""

from __future__ import annotations

import pytest

from tasks.core.kubeadm.inputs import NEWEST, check_item, check_name, kubernetes_version, parse_version
from tasks.core.result import ItemStatus, Kind
from tests.support.builders import host


@pytest.mark.parametrize(
    ("text", "version"),
    [
        *(("v1.34.2", (1, 34)), ("1.9", (1, 9)), ("6.1.0-13-amd64", (6, 1))),
        *((text, None) for text in ("", "v1", "x1.2", "12345.1", "1.x")),
    ],
)
def test_a_version_is_its_first_two_numbers(text: str, version: tuple[int, int] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("given", "version"),
    [("v1.33.1", (1, 33, 1)), ("1.33", (1, 33, NEWEST)), (1.34, (1, 34, NEWEST)), ("1.35.0-rc.1", (1, 35, 0))],
)
def test_the_version_of_kubernetes_is_kubesprays_variable(given: object, version: tuple[int, int, int]) -> None:
    assert kubernetes_version(host(kube_version=given)) == version


@pytest.mark.parametrize("given", ["", "latest", "{{ version }}"])
def test_a_version_that_is_not_known_is_the_newest(given: str) -> None:
    assert kubernetes_version(host(kube_version=given)) == kubernetes_version(host()) == (NEWEST, NEWEST, NEWEST)


def test_an_item_of_a_check_has_kubeadms_name() -> None:
    item = check_item(check_name("FileContent", "/proc/x"), ItemStatus.DRIFT, "1", "0", step="echo")
    assert (item.kind, item.name, item.next_step) == (Kind.CHECK, "FileContent--proc-x", "echo")
