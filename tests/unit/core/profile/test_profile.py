"""Profiles: rendered as a whole, and chosen together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ProfileError
from tasks.core.profile.entries import SysctlEntry
from tasks.core.profile.profile import check_together, digest, render
from tests.support.builders import profile, rendered
from tests.support.profiles import profile_error


def test_comments_and_blank_lines_are_kept_as_they_are() -> None:
    found = rendered(sysctl="# one\n\n; zwei – drei\nvm.x = 1\n")
    assert found.sysctl == ("# one", "", "; zwei – drei", SysctlEntry(4, "vm.x", "1", False, False))


def test_the_same_entry_twice_is_allowed() -> None:
    assert len(rendered(sysctl="vm.x = 1\nvm/x = 1\n").sysctl_entries()) == 2


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(content: str) -> None:
    for plain in (profile(sysctl=content, template=False), profile(modules=content, template=False)):
        try:
            render(plain, {})
        except ProfileError as error:
            assert str(error).startswith("templates/p/")


def test_both_lines_of_a_contradiction_are_the_templates() -> None:
    error = profile_error("{% set a = 1 %}\n{# b #}\nvm.x = 1\n{% if true %}\nvm.x = 2\n{% endif %}\n")
    assert (error.line, error.problem) == (5, "vm.x has another value in line 3: keep one")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("vm.x = 1", "vm.x = 1"),
        ("vm.x = 16", "vm.x = 0x10"),
        ("vm.x >= 1", "vm.x >= 2"),
        ("vm.x = 3", "vm.x >= 2"),
        ("vm.x >= 2", "vm.x = 3"),
        ("vm.x = 1", "vm.y = 2"),
        ("net.ipv4.ip_local_reserved_ports = 1-3", "net.ipv4.ip_local_reserved_ports >= 2"),
    ],
)
def test_profiles_that_agree_can_be_chosen_together(one: str, other: str) -> None:
    check_together([rendered(sysctl=one, name="a"), rendered(sysctl=other, name="b")])


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("vm.x = 1", "# c\nvm.x = 2", "profile a wants vm.x = 1 (line 1), profile b wants vm.x = 2"),
        ("vm.x >= 3", "# c\nvm.x = 2", "profile a wants vm.x >= 3 (line 1), profile b wants vm.x = 2"),
        ("vm.x = 2", "# c\nvm/x >= 3", "profile a wants vm.x = 2 (line 1), profile b wants vm.x >= 3"),
    ],
)
def test_profiles_that_contradict_each_other_are_named_both(one: str, other: str, words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        check_together([rendered(sysctl=one, name="a"), rendered(sysctl=other, name="b")])
    assert (caught.value.source, caught.value.line) == ("templates/b", 2)
    assert words in caught.value.problem


def test_a_digest_tells_the_states_of_a_profile_apart() -> None:
    states = [profile("vm.x = 1\n"), profile("vm.x = 2\n"), profile("vm.x = 1\n", ""), profile(None, "vm.x = 1\n")]
    digests = [digest(state) for state in states]
    assert len(set(digests)) == 3  # an empty file changes nothing
    assert all(len(found) == 12 for found in digests)
    assert digest(profile("vm.x = 1\n", name="other")) == digests[0]
