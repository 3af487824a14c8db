"""Profiles on the disk: their files, their names, and which host has which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import ProfileError, UsageError
from tasks.core.host import Host
from tasks.core.profile.profile import render
from tasks.local.profiles import load_profile, load_profiles, profile_names


def folder(root: Path, **files: str | bytes) -> Path:
    """A profile: file names with _ for a dot and a dash."""
    made = root / "templates" / "mine"
    made.mkdir(parents=True)
    for name, content in files.items():
        real = {"modules": "modules-load.conf", "sysctl": "sysctl.conf"}[name.split("_")[0]]
        path = made / (f"{real}.j2" if name.endswith("_j2") else real)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return made


def test_either_file_of_a_profile_may_be_missing_and_the_ending_says_if_it_is_a_template(tmp_path: Path) -> None:
    found = load_profile(folder(tmp_path, sysctl="vm.x = {{ 1 }}", modules_j2="{{ 'a' }}"))
    assert found.name == "mine"
    assert found.sysctl is not None
    assert found.modules is not None
    assert (found.sysctl.template, found.modules.template) == (False, True)
    assert (found.sysctl.text, found.modules.text) == ("vm.x = {{ 1 }}", "{{ 'a' }}")


def test_a_profile_of_one_file_has_no_other(tmp_path: Path) -> None:
    found = load_profile(folder(tmp_path, sysctl_j2="vm.x = 1"))
    assert found.modules is None
    assert render(found, {}).modules is None


@pytest.mark.parametrize("name", ["sysctl", "modules"])
def test_a_part_that_is_there_twice_is_refused(name: str, tmp_path: Path) -> None:
    made = folder(tmp_path, **{name: "", f"{name}_j2": ""})
    with pytest.raises(ProfileError, match=r"expected one of .*\.conf and .*\.conf\.j2, got both: keep one"):
        load_profile(made)


@pytest.mark.parametrize("made", [True, False], ids=["an empty folder", "no folder"])
def test_a_profile_that_is_none_names_those_that_are(made: bool, tmp_path: Path) -> None:
    folder(tmp_path, sysctl="")
    other = tmp_path / "templates" / "other"
    if made:
        other.mkdir()
    with pytest.raises(ProfileError, match=r"not a profile: expected modules-load.conf or sysctl.conf\(.j2\).*mine"):
        load_profile(other)


def test_a_byte_order_mark_is_taken_off(tmp_path: Path) -> None:
    found = load_profile(folder(tmp_path, sysctl=b"\xef\xbb\xbfvm.x = 1\r\n"))
    assert [entry.key for entry in render(found, {}).sysctl_entries()] == ["vm.x"]


@pytest.mark.parametrize(
    ("text", "names"),
    [("kubernetes", ["kubernetes"]), ("a, b", ["a", "b"]), ("a,b,a", ["a", "b"]), ("proxy-ipvs_2", ["proxy-ipvs_2"])],
)
def test_profiles_are_named_with_commas(text: str, names: list[str]) -> None:
    assert profile_names(text) == names


@pytest.mark.parametrize(
    "text", ["", "a,", "../x", "/etc", "a b", "-a", ".hidden", "a.conf", "ä", "zz-fix", "zz", "zzz"]
)
def test_what_could_not_be_a_folder_or_would_beat_the_repairs_is_no_profile(text: str) -> None:
    with pytest.raises(UsageError, match="is not a profile's name"):
        profile_names(text)


@pytest.mark.parametrize(
    ("flag", "variables", "names"),
    [
        ("", {}, ["kubernetes"]),
        ("", {"profiles": "mine"}, ["mine"]),
        ("", {"profiles": "kubernetes,mine"}, ["kubernetes", "mine"]),
        ("", {"profiles": ["kubernetes", "mine"]}, ["kubernetes", "mine"]),
        ("mine", {"profiles": "kubernetes"}, ["mine"]),
    ],
)
def test_the_flag_beats_the_inventory_and_the_inventory_the_default(
    flag: str, variables: dict[str, object], names: list[str], tmp_path: Path
) -> None:
    for name in ("kubernetes", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sysctl.conf").write_text("")
    whom = Host("n1", "192.0.2.1", variables=variables)
    found = load_profiles(flag, [whom], "kubernetes", tmp_path)
    assert [profile.name for profile in found["n1"]] == names


def test_hosts_may_have_different_profiles_and_share_what_they_share(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sysctl.conf").write_text("")
    both = [Host("n1", "x", variables={"profiles": "a"}), Host("n2", "y", variables={"profiles": "a,b"})]
    found = load_profiles("", both, "kubernetes", tmp_path)
    assert found["n1"][0] is found["n2"][0]


def test_a_file_that_is_no_text_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"sysctl.conf: expected UTF-8 text"):
        load_profile(folder(tmp_path, sysctl=b"vm.x = \xff"))
