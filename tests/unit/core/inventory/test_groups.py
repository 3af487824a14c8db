"""The tree of groups, and the precedence that follows from it."""

from __future__ import annotations

import pytest

from tasks.core.errors import InventoryError
from tasks.core.inventory.groups import InventoryBuilder
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.inventory import Inventory


def inventory(text: str) -> Inventory:
    return parse_ini(text, "hosts.ini")


def variable(text: str, name: str, host: str = "n1") -> object:
    return inventory(text).variables(host).get(name)


def test_hosts_keep_the_order_in_which_they_are_first_named() -> None:
    assert inventory("b\n[x]\nc\na\n[y]\nb\n").names() == ("b", "c", "a")


def test_a_host_without_a_group_is_in_ungrouped() -> None:
    assert inventory("n1\n").host("n1").groups == ("ungrouped",)


def test_a_host_leaves_ungrouped_when_a_later_section_names_it() -> None:
    found = inventory("n1\n[web]\nn1\n")
    assert found.host("n1").groups == ("web",)
    assert found.groups["ungrouped"].members == ()


def test_parents_are_among_a_hosts_groups_and_all_is_not() -> None:
    text = "[web]\nn1\n[prod:children]\nweb\n[world:children]\nprod\n"
    assert inventory(text).host("n1").groups == ("prod", "web", "world")


def test_members_of_a_parent_are_those_of_its_children_in_inventory_order() -> None:
    text = "[all]\nn1\nn2\nn3\n[late]\nn3\nn1\n[early]\nn2\n[both:children]\nlate\nearly\n"
    assert inventory(text).groups["both"].members == ("n1", "n2", "n3")


def test_all_has_every_host() -> None:
    assert inventory("n1\n[web]\nn2\n").groups["all"].members == ("n1", "n2")


def test_a_child_may_be_declared_after_it_is_used() -> None:
    assert inventory("[p:children]\nc\n[c]\nn1\n").groups["p"].members == ("n1",)


def test_an_empty_inventory_has_only_the_two_groups_that_always_exist() -> None:
    assert set(inventory("").groups) == {"all", "ungrouped"}


def test_a_group_may_be_in_two_parents() -> None:
    text = "[c]\nn1\n[p:children]\nc\n[q:children]\nc\n"
    assert inventory(text).host("n1").groups == ("c", "p", "q")


def test_of_two_groups_at_one_depth_the_later_in_the_alphabet_wins() -> None:
    assert variable("[b]\nn1\n[a]\nn1\n[b:vars]\nv=b\n[a:vars]\nv=a\n", "v") == "b"


def test_group_priority_beats_the_alphabet_and_is_no_variable_itself() -> None:
    text = "[b]\nn1\n[a]\nn1\n[b:vars]\nv=b\n[a:vars]\nv=a\nansible_group_priority=2\n"
    assert inventory(text).variables("n1") == {"v": "a"}


def test_the_port_of_the_first_mention_counts() -> None:
    assert inventory("[a]\nn1:2201\n[b]\nn1:2202\n").host("n1").port == 2201


def test_variables_of_a_host_named_like_a_group_go_to_the_group() -> None:
    found = inventory("[n1]\nn1 v=1\nn2\n")
    assert found.variables("n2") == {"v": 1}


# ---------------------------------------------------------------- the builder, fed by no grammar at all


def test_a_grammar_may_name_hosts_groups_and_variables_in_any_order() -> None:
    builder = InventoryBuilder("hosts.yaml")
    builder.add_group("web")
    builder.add_child("prod", "web", 1)
    builder.add_group("prod")
    builder.add_host("n1", "web", 2, port=2222)
    builder.set_variable("n1", "v", "host", 2)
    builder.set_variable("prod", "v", "group", 3)
    builder.set_variable("prod", "w", "group", 3)
    found = builder.build()
    assert found.host("n1").groups == ("prod", "web")
    assert (found.groups["web"].depth, found.groups["prod"].members) == (2, ("n1",))
    assert found.variables("n1") == {"v": "host", "w": "group", "ansible_port": 2222}


@pytest.mark.parametrize(("parent", "child"), [("a", "a"), ("a", "all"), ("b", "a")])
def test_a_loop_of_groups_names_the_line_that_closes_it(parent: str, child: str) -> None:
    builder = InventoryBuilder("hosts.yaml")
    builder.add_group("a")
    builder.add_group("b")
    builder.add_child("a", "b", 1)
    builder.add_child(parent, child, 7)
    with pytest.raises(InventoryError, match=r"^hosts\.yaml:7: expected groups without a loop"):
        builder.build()


def test_a_priority_that_is_not_a_number_names_the_line() -> None:
    builder = InventoryBuilder("hosts.yaml")
    with pytest.raises(InventoryError, match=r"^hosts\.yaml:3: ansible_group_priority: expected a whole number"):
        builder.set_variable("all", "ansible_group_priority", [], 3)
