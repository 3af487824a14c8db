"""Our files on a node: their header, their hash, and their assignments."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.ownfiles import HASH_PREFIX, assignments, with_header


def test_a_file_says_who_owns_it_and_hashes_what_follows() -> None:
    file = with_header("/etc/x.conf", "kubernetes", ["# a", "", "vm.x = 1"])
    digest = hashlib.sha256(b"# a\n\nvm.x = 1").hexdigest()
    assert file.lines == (
        "# Written by nodeprep from its profile kubernetes: change the profile and apply it, not this file.",
        f"# sha256 of the lines below: {digest}",
        "# a",
        "",
        "vm.x = 1",
    )
    assert file.effective == (f"{HASH_PREFIX}{digest}", "vm.x = 1")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["vm.x = 1"], {"vm.x": "1"}),
        (["vm/x=1\t 2"], {"vm.x": "1 2"}),
        (["-vm.x = 1"], {"vm.x": "1"}),
        (["vm.x = 1", "vm.x = 2"], {"vm.x": "2"}),
        (["# a = b", "; c = d", "no equals", ""], {}),
        (["= 1"], {}),
        (["  = 1", "-= 2"], {}),
        (["vm.x ="], {"vm.x": ""}),
        (["kernel.core_pattern = |/x a=b"], {"kernel.core_pattern": "|/x a=b"}),
    ],
)
def test_a_plain_file_is_read_as_the_node_reads_it(lines: list[str], found: dict[str, str]) -> None:
    assert assignments(lines) == found


@given(st.lists(st.text(max_size=20), max_size=5))
def test_any_file_is_read_without_an_error(lines: list[str]) -> None:
    assignments(lines)
