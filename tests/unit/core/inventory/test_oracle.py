"""Every inventory of the fixture folder, read by us and by the real ansible-inventory, must come out the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core.errors import InventoryError, SelectionError
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.inventory import Inventory
from tasks.core.inventory.names import name_problem
from tasks.core.inventory.selection import select_hosts
from tasks.core.redact import Secret
from tests.support.ansible import ORACLE, ansible_environment, run_ansible_inventory

FOLDER = Path(__file__).parent / "inventories"
FILES = [*sorted(path for path in FOLDER.iterdir() if path.is_file()), FOLDER / "beside" / "hosts.ini"]

pytestmark = pytest.mark.skipif(not ORACLE.exists(), reason="ansible-core is not installed in this environment")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, dict[str, Any]]:
    """What ansible-inventory says of every file; asked for all at once, since each start takes most of a second."""
    home = tmp_path_factory.mktemp("ansible")
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(FILES, pool.map(lambda path: ask_ansible(path, home), FILES), strict=True))


def ask_ansible(path: Path, home: Path) -> dict[str, Any]:
    done = run_ansible_inventory([path], home)
    assert done.returncode == 0, done.stderr
    assert "Unable to parse" not in done.stderr, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def our_inventory(path: Path) -> Inventory:
    inventory = parse_ini(path.read_text(encoding="utf-8"), str(path))
    return inventory.with_variables(variable_files(path, "group_vars"), variable_files(path, "host_vars"))


def variable_files(inventory: Path, kind: str) -> dict[str, dict[str, object]]:
    """group_vars/NAME.yml or group_vars/NAME/*.yml beside an inventory, loaded as the remote layer will."""
    found: dict[str, dict[str, object]] = {}
    folder = inventory.parent / kind
    for path in sorted(folder.rglob("*.y*ml")):
        owner = path.stem if path.parent == folder else path.parent.name
        found.setdefault(owner, {}).update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


def plain(value: Any) -> Any:
    """Ansible's answer without its marks for untrusted texts."""
    if isinstance(value, dict):
        return (
            plain(value["__ansible_unsafe"]) if "__ansible_unsafe" in value else {k: plain(v) for k, v in value.items()}
        )
    return [plain(item) for item in value] if isinstance(value, list) else value


def through_json(values: Mapping[str, object]) -> Any:
    return json.loads(json.dumps(values))


def secrets_as_text(ours: Mapping[str, object], theirs: Mapping[str, object]) -> dict[str, object]:
    """We keep a password that looks like a number as text, so that no repr shows it; the text must be the same."""
    return {name: str(value) if isinstance(ours.get(name), Secret) else value for name, value in theirs.items()}


def test_at_least_a_dozen_inventories_are_compared() -> None:
    assert len(FILES) >= 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_same_hosts_are_found(path: Path, answers: dict[Path, dict[str, Any]]) -> None:
    answer = answers[path]
    theirs = {host for name, group in answer.items() if name != "_meta" for host in group.get("hosts", [])}
    assert set(our_inventory(path).names()) == theirs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_same_groups_hold_the_same_hosts_and_groups(path: Path, answers: dict[Path, dict[str, Any]]) -> None:
    theirs = {
        name: (group.get("hosts", []), sorted(group.get("children", [])))
        for name, group in answers[path].items()
        if name != "_meta"
    }
    ours = {
        name: ([] if name == "all" else list(group.hosts), sorted(group.children))
        for name, group in our_inventory(path).groups.items()
    }
    assert {name: group for name, group in ours.items() if group != ([], [])} == theirs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_host_has_the_same_variables(path: Path, answers: dict[Path, dict[str, Any]]) -> None:
    inventory = our_inventory(path)
    answer = answers[path]["_meta"]["hostvars"]
    for name in inventory.names():
        ours = inventory.variables(name)
        assert through_json(ours) == secrets_as_text(ours, plain(answer.get(name, {}))), name


REFUSED = {
    "loop": "[a:children]\nb\n[b:children]\na\n",
    "undeclared": "[only_vars:vars]\nx=1\n",
    "child": "[parent:children]\nnowhere\n",
    "header": "[a b]\nn1\n",
    "kind": "[a:hosts:x]\n",
    "word": "n1 word\n",
    "quote": 'n1 a="x\n',
    "colon": "n1:\n",
    "padding": "n[01:5]\n",
    "single": "n[1]\n",
    "bracket": "[x]y z=[1]\n",
    "unhashable": "n1 v={[1]}\n",
    "priority": "[a]\n[a:vars]\nansible_group_priority=high\n",
    "nothing": "''\n",
    "yaml": "---\nn1\n",
}


def test_what_ansible_refuses_we_refuse_too(tmp_path: Path) -> None:
    """One start of ansible for all of them: it warns of each inventory that it cannot read, and goes on."""
    paths = [tmp_path / f"{name}.ini" for name in REFUSED]
    for path in paths:
        path.write_text(REFUSED[path.stem], encoding="utf-8")
        with pytest.raises(InventoryError):
            parse_ini(path.read_text(encoding="utf-8"), path.name)
    said = "".join(run_ansible_inventory(paths, tmp_path).stderr.split())  # its warnings are wrapped, anywhere
    assert [path.name for path in paths if f"Unabletoparse{path}asaninventorysource" not in said] == []


# ---------------------------------------------------------------- -H 'group[1]', counted as Ansible counts

COUNTER = """
import json, sys
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

answers = []
for source, patterns in json.load(sys.stdin):
    manager = InventoryManager(loader=DataLoader(), sources=[source])
    for pattern in patterns:
        try:
            answers.append([source, pattern, [host.name for host in manager.get_hosts(pattern)]])
        except Exception:
            answers.append([source, pattern, []])
print(json.dumps(answers))
"""
SUBSCRIPTS = ("[0]", "[1]", "[2]", "[-1]", "[-2]", "[0:0]", "[0:1]", "[1:2]", "[1:]", "[0:]", "[2:9]", "[99]")


def countable_groups(inventory: Inventory) -> list[str]:
    """The groups whose order Ansible fixes: it walks the groups below a group's children in the order of a set."""
    return [name for name in inventory.groups if all(ordered_levels(inventory, name))]


def ordered_levels(inventory: Inventory, group: str) -> Iterator[bool]:
    level = [group]
    while level:
        yield len([name for name in level if inventory.groups[name].children]) <= 1
        level = list(dict.fromkeys(child for name in level for child in inventory.groups[name].children))


def our_choice(inventory: Inventory, pattern: str) -> list[str] | None:
    """Return the names that a pattern selects; None if one of them has a name that SSH is not given."""
    try:
        return [host.name for host in select_hosts(inventory, pattern, reachable_name=lambda _: False)]
    except SelectionError:
        return []
    except InventoryError:
        return None


def test_a_number_after_a_group_picks_what_ansible_picks(tmp_path: Path) -> None:
    forward = tmp_path / "forward.ini"
    forward.write_text("[z]\nn9\n[p:children]\na\nz\nb\n[b]\nn1\nn2\n[a]\nn2\nn3\nn1\n[c]\n[all]\nn4\n")
    asked = []
    for path in [*FILES, forward]:
        inventory = our_inventory(path)
        bases = [*countable_groups(inventory), *inventory.names()[:3], "n*", "*"]
        bases = [base for base in bases if ":" not in base and not name_problem(base, allowed="*")]
        asked.append((str(path), [base + subscript for base in bases for subscript in SUBSCRIPTS]))
        asked[-1][1].extend(f"all,!{base}[0]" for base in bases)
    environment = ansible_environment(tmp_path)
    command = [sys.executable, "-c", COUNTER]
    done = subprocess.run(
        command, input=json.dumps(asked), env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    inventories = {str(path): our_inventory(path) for path in [*FILES, forward]}
    answers = [
        (source, pattern, our_choice(inventories[source], pattern), theirs)
        for source, pattern, theirs in json.loads(done.stdout)
    ]
    answers = [answer for answer in answers if answer[2] is not None]
    assert len(answers) > 1000
    # The rest of a whole group is in the order of the file here, and in that of the groups there.
    in_any_order = [(sorted(ours or ()), sorted(theirs)) for _, what, ours, theirs in answers if "!" in what]
    assert [pair for pair in in_any_order if pair[0] != pair[1]] == []
    assert [answer for answer in answers if answer[2] != answer[3] and "!" not in answer[1]] == []
