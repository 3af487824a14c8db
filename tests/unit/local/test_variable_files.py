"""group_vars/ and host_vars/: the files that Ansible reads, and what YAML can do to us."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import InventoryError
from tasks.core.inventory.variables import UnsafeText
from tasks.core.redact import redact
from tasks.local.inventory import load_inventory
from tasks.local.variable_files import MAX_BYTES, find_files, parse_variables, read_file, read_variables
from tests.support.ansible import ORACLE, run_ansible_inventory

pytestmark = pytest.mark.slow


def values(text: str) -> dict[str, object]:
    return {name: variable.value for name, variable in parse_variables(text, "group_vars/all.yml").items()}


def folder(root: Path, *files: str) -> Path:
    """A folder of variable files, each of which sets `from` and a variable of its own to its name."""
    for number, name in enumerate(files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"from: {name}\nv{number}: {name}\n")
    return root


# ---------------------------------------------------------------- which files

PLACES = {
    "plain_first": ("plain_first", "plain_first.yml"),
    "folder_first": ("folder_first/a.yml", "folder_first/b", "folder_first.yml", "folder_first.json"),
    "yml_first": ("yml_first.yml", "yml_first.yaml", "yml_first.json"),
    "yaml_first": ("yaml_first.yaml", "yaml_first.json"),
    "json_alone": ("json_alone.json",),
    "hidden": ("hidden/.git/a.yml", "hidden/.hidden.yml", "hidden/seen.yml"),
    "backups": ("backups/a.yml~", "backups/a~", "backups/a.yml.bak", "backups/seen.json"),
    "dotted": ("dotted/conf.d/a.yml", "dotted/sub/deep/a.yml", "dotted/z.yml"),
    "yml_folder": ("yml_folder.yml/a.yml", "yml_folder.yml/b.yaml", "yml_folder.yaml"),
    "k8s/nested": ("k8s/nested.yml",),
    "nothing": ("nothing.txt", "nothing~"),
}


@pytest.mark.skipif(not ORACLE.exists(), reason="ansible-core is not installed in this environment")
def test_the_files_are_those_that_ansible_reads(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("".join(f"[{name}]\nn{number}\n" for number, name in enumerate(PLACES)))
    folder(tmp_path / "group_vars", *(file for files in PLACES.values() for file in files))
    done = run_ansible_inventory([tmp_path / "hosts.ini"], tmp_path)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)["_meta"]["hostvars"]
    inventory = load_inventory(tmp_path / "hosts.ini")
    assert {name: inventory.variables(name) for name in inventory.names()} == {
        name: theirs.get(name, {}) for name in inventory.names()
    }
    assert sum(map(bool, theirs.values())) == len(PLACES) - 1


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", ".", "a/../../secret", "", "x" * 5000])
def test_a_name_that_leads_out_of_the_folder_or_nowhere_has_no_files(name: str, tmp_path: Path) -> None:
    folder(tmp_path, "secret.yml", "group_vars/all.yml")
    assert find_files(tmp_path / "group_vars", name) == []


def test_a_group_that_is_called_like_a_path_reads_nothing_there(tmp_path: Path) -> None:
    folder(tmp_path, "secret.yml", "group_vars/all.yml")
    (tmp_path / "hosts.ini").write_text(f"[../secret]\nn1\n[{tmp_path}/secret]\nn1\n")
    assert load_inventory(tmp_path / "hosts.ini").variables("n1") == {
        "from": "group_vars/all.yml",
        "v1": "group_vars/all.yml",
    }


def test_a_link_that_leads_back_is_followed_once(tmp_path: Path) -> None:
    folder(tmp_path, "all/a.yml")
    (tmp_path / "all" / "again").symlink_to(tmp_path / "all")
    assert find_files(tmp_path, "all") == [tmp_path / "all" / "a.yml"]


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "all.yml")
    with pytest.raises(InventoryError, match=r"all\.yml: expected a file or a folder, got something else"):
        read_variables(tmp_path, ["all"])


def test_a_file_of_any_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "all.yml").open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(InventoryError, match=rf"all\.yml: expected at most {MAX_BYTES} bytes, got 10737418240"):
        read_file(tmp_path / "all.yml")


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-31", "2024-01-31"),
        ("2001-12-14 21:59:43", "2001-12-14 21:59:43"),
        ("[2024-01-31]", ["2024-01-31"]),
        ("{2024-01-31: x}", {"2024-01-31": "x"}),
        ("!!set {b, a}", ["b", "a"]),
        ("!!binary aGk=", "hi"),
        ("!!omap [a: 1]", [["a", 1]]),
        ("!unsafe '{{ x }}'", "{{ x }}"),
        ("!unsafe [a, {b: 'c'}]", ["a", {"b": "c"}]),
        ("{a: !vault x, b: 1}", {"b": 1}),
        ("{a: {b: !vault x}, c: 1}", {"a": {}, "c": 1}),
        ("[1, {a: [!vault x]}]", [1, {}]),
        ("!!python/name:os.system x", None),
    ],
)
def test_what_yaml_has_beside_texts_and_numbers_is_made_plain(text: str, value: object) -> None:
    if value is None:
        with pytest.raises(InventoryError, match="could not determine a constructor for the tag"):
            values(f"v: {text}")
        return
    found = values(f"v: {text}")["v"]
    assert found == value
    assert json.loads(json.dumps(redact("v", found))) == value


@pytest.mark.parametrize("text", ["!vault x", "!vault-encrypted x", "[1, !vault x]", "!vault {a: b}", "!vault [a]"])
def test_an_encrypted_value_counts_as_not_given(text: str) -> None:
    assert values(f"v: {text}\nw: 1") == {"w": 1}


def test_an_unsafe_text_is_known_as_one() -> None:
    found: Any = values("a: !unsafe '{{ x }}'\nb: !unsafe [c]\nd: '{{ x }}'")
    assert [type(each) for each in (found["a"], found["b"][0], found["d"])] == [UnsafeText, UnsafeText, str]


def test_merged_keys_are_variables_and_each_knows_its_line() -> None:
    found = parse_variables("# c\nbase: &b\n  x: 1\n<<: *b\ny:\n  2\n", "f.yml")
    assert {name: (each.value, each.line) for name, each in found.items()} == {
        "base": ({"x": 1}, 2),
        "x": (1, 3),
        "y": (2, 5),
    }


# ---------------------------------------------------------------- errors

ERRORS = [
    ("a: [", 1, "not YAML: while parsing a flow node expected the node content"),
    ("a: 1\nb: *c\n", 2, "not YAML: found undefined alias 'c'"),
    ("a: 1\n---\nb: 1\n", 2, "but found another document"),
    ("a: 1\nb: \x01\n", 2, "not YAML: character #x0001 is not allowed"),
    ("a: 1\nb: !mine x\n", 2, "could not determine a constructor for the tag '!mine'"),
    ("a: 1\nb: {[1]: 2}\n", 2, "found unhashable key"),
    ("a: 1\nb: 2024-13-45\n", 2, "b: month must be in 1..12"),
    (f"a: 1\nb: {'9' * 5000}\n", 2, "expected a number of at most 400 characters"),
    (f"b: {'1:' * 100_000}1\n", 1, "expected a number of at most 400 characters"),
    (f"b: {'9:' * 100_000}1.5\n", 1, "expected a number of at most 400 characters"),
    ("a: 1\nb: &b [*b]\n", 2, "not YAML: found unconstructable recursive node"),
    ("a: 1\nb: &b {c: *b}\n", 2, "not YAML: found unconstructable recursive node"),
    ("a: 1\nb: " + "[" * 60 + "]" * 60, 2, "expected at most 50 levels in each other, got more"),
    ("a: 1\nb: " + "[" * 200_000, 2, "expected at most 50 levels in each other, got more"),
    ("a: 1\nb: " + "{a: " * 100_000, 2, "expected at most 50 levels in each other, got more"),
    ("".join(f"a{n}: &a{n} [*a{n - 1}]\n" if n else "a0: &a0 []\n" for n in range(60)), 51, "a50: expected at most 50"),
    ("- 1\n" * 60_000, 50_000, "expected at most 50000 values, got more"),
    ("- a\n", 1, "expected `name: value` lines, got a list"),
    ("x\n", 1, "got a str"),
    ("a: &a {<<: &b {<<: *a}}", 1, "expected at most"),
]


@pytest.mark.parametrize(("text", "line", "problem"), ERRORS, ids=[text[:24] for text, _, _ in ERRORS])
def test_an_error_names_the_file_and_the_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(InventoryError) as caught:
        values(text)
    assert (caught.value.source, caught.value.line) == ("group_vars/all.yml", line)
    assert problem in caught.value.problem
    assert "\n" not in str(caught.value)


def test_an_error_does_not_show_the_file() -> None:
    with pytest.raises(InventoryError) as caught:
        values('ansible_password: "hunter2\nx: 1\n')
    assert "hunter2" not in str(caught.value)


LETTERS = list(zip("abcdefgh", "bcdefghi", strict=True))  # each with the one before it
REPEATED = {before: ",".join([f"*{before}"] * 9) for before, _ in LETTERS}
BOMBS = {
    "aliases": "a: &a [x]\n" + "".join(f"{name}: &{name} [{REPEATED[before]}]\n" for before, name in LETTERS),
    "many aliases": "a: &a [" + "1," * 2_000 + "]\nb: [" + "*a," * 10_000 + "]\n",
    "many merges": "a: &a {x: 1}\nb: {<<: [" + "*a," * 30_000 + "]}\n",
    "large merges": "a: &a {" + "".join(f"k{n}: 1, " for n in range(2_000)) + "}\n" + "b: {<<: *a}\n" * 1_000,
}


# Harmless since PyYAML 6.0.4, which merges a key once; until then each line had nine times the keys of the one before.
MERGES = "a: &a {x: 1}\n" + "".join(f"{name}: &{name} {{<<: [{REPEATED[before]}]}}\n" for before, name in LETTERS)


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_soon_and_takes_little_memory(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InventoryError, match=r"expected at most 50000 (values|merged keys)"):
            values(text)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [MERGES, "? " * 50_000, "&a " * 10_000, "a: '" + "\\" * 100_000 + "'", "a: !!float " + "9" * 400, "1" * 100_000],
)
def test_other_files_that_are_made_to_hurt_end_soon(text: str) -> None:
    begin = time.process_time()
    try:
        values(text)
    except InventoryError as error:
        assert "\n" not in str(error)
    assert time.process_time() - begin < 10


YAML = st.text(alphabet="ab:&*!<>{}[]'\"|-? \n,#1%@`=", max_size=60) | st.text(max_size=40)


@given(YAML)
def test_whatever_is_in_a_file_the_only_error_is_an_inventory_error(text: str) -> None:
    try:
        found = values(text)
    except InventoryError as error:
        assert error.problem
        assert "\n" not in str(error)
    else:
        json.dumps({name: redact(name, value) for name, value in found.items()})
