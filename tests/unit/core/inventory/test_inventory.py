"""The precedence of an inventory's variables, and the resolution of one host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import InventoryError
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.inventory import Inventory, Variable
from tasks.core.profile.variables import template_variables

FOLDER = Path(__file__).parent / "inventories"


def inventory(text: str) -> Inventory:
    return parse_ini(text, "hosts.ini")


def test_a_host_line_beats_a_child_group_which_beats_its_parent_which_beats_all() -> None:
    text = "[c]\nn1 d=host\n[p:children]\nc\n[all:vars]\na=all\nb=all\nc=all\nd=all\n"
    text += "[p:vars]\nb=p\nc=p\nd=p\n[c:vars]\nc=c\nd=c\n"
    values = inventory(text).variables("n1")
    assert values == {"a": "all", "b": "p", "c": "c", "d": "host"}


def test_files_beside_the_inventory_have_their_place_in_the_precedence() -> None:
    text = "[c]\nn1 four=line five=line\n[p:children]\nc\n[c:vars]\none=ini\ntwo=ini\nthree=ini\nfour=ini\nfive=ini\n"
    found = inventory(text).with_variables(
        {"all": {"two": "all", "three": "all"}, "p": {"three": "p"}, "c": {"four": "c"}, "no": {"lost": 1}},
        {"n1": {"five": "file"}, "nobody": {"lost": 1}},
    )
    assert found.variables("n1") == {"one": "ini", "two": "all", "three": "p", "four": "line", "five": "file"}


def test_adding_variable_files_leaves_the_first_inventory_as_it_was() -> None:
    first = inventory("n1\n")
    first.with_variables({"all": {"v": 1}}, {})
    assert first.variables("n1") == {}


def test_secrets_are_never_shown_by_a_repr() -> None:
    text = "n1 ansible_password=hunter2 ansible_become_pass=31337 DB_TOKEN=hunter3\n[all:vars]\nvault_secret=hunter4\n"
    found = inventory(text).with_variables({"all": {"other_password": "hunter5"}}, {})
    shown = repr(found) + repr(found.host("n1"))
    assert "hunter" not in shown
    assert "31337" not in shown
    assert found.host("n1").ssh.password == "hunter2"
    assert found.host("n1").become.password == "31337"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("n1\nn2 ansible_port=x\n", "hosts.ini:2: host n2: ansible_port"),
        ("n2\n[all:vars]\n\nansible_port=99999\n", "hosts.ini:4: host n2: ansible_port"),
        ("n2 ansible_host='a b'\n", "hosts.ini:1: host n2: ansible_host"),
        ("'n 1'\nn2 ansible_user={{u}}\n", "hosts.ini:2: host n2: ansible_user: holds a Jinja expression"),
    ],
)
def test_an_unusable_connection_variable_is_named_with_the_line_it_came_from(text: str, place: str) -> None:
    with pytest.raises(InventoryError) as caught:
        inventory(text).host("n2")
    assert str(caught.value).startswith(place)


def test_an_unusable_value_from_a_file_beside_names_that_file() -> None:
    found = inventory("n1\n").with_variables({"all": {"ansible_port": 0}}, {})
    with pytest.raises(InventoryError, match=r"^group_vars/all: host n1: ansible_port: "):
        found.host("n1")


@pytest.mark.parametrize("name", ["'a b'", "'a;b'", "-x", "'$(id)'", "'a\x1b[0m'"])
def test_a_host_whose_name_is_no_name_is_refused_before_it_is_used(name: str) -> None:
    found = inventory(name.replace("[", "(") + "\n")
    with pytest.raises(InventoryError, match="expected a host name"):
        found.host(found.names()[0])


def test_a_variable_that_stands_among_hosts_is_named_with_its_line() -> None:
    """Ansible takes such a line for a host of that name; the usual cause is a missing [group:vars]."""
    found = inventory("[web]\nn1\nansible_user=root\n")
    with pytest.raises(InventoryError, match=r"^hosts\.ini:3: expected a host name, but 'ansible_user=root' holds '='"):
        found.host("ansible_user=root")


def test_asking_for_an_unknown_host_is_an_error() -> None:
    with pytest.raises(InventoryError, match="no host 'n2'"):
        inventory("n1\n").host("n2")


def test_a_kubespray_inventory_works_as_it_is() -> None:
    found = parse_ini((FOLDER / "kubespray.ini").read_text(), "inventory.ini")
    node = found.host("node2")
    assert (node.address, node.user, node.become.wanted) == ("192.0.2.12", "ubuntu", True)
    assert node.groups == ("etcd", "k8s_cluster", "kube_control_plane", "kube_node")
    assert node.ssh.proxy_command == "ssh -W %h:%p -q jump@203.0.113.5"
    assert node.ssh.not_honoured == ()
    assert found.host("bastion").user == "jump"
    assert template_variables(node)["kube_proxy_mode"] == "ipvs"


def test_a_kubeasz_inventory_works_as_it_is() -> None:
    found = parse_ini((FOLDER / "kubeasz-hosts").read_text(), "hosts")
    assert found.groups["kube_master"].members == ("192.168.1.1", "192.168.1.2", "192.168.1.3")
    assert found.variables("192.168.1.2")["k8s_nodename"] == ""
    variables = template_variables(found.host("192.168.1.4"))
    assert variables["kube_proxy_mode"] == "ipvs"
    assert variables["NODE_PORT_RANGE"] == "30000-32767"


def test_a_variable_with_an_expression_is_named_with_its_place_if_a_template_uses_it() -> None:
    found = inventory("[web]\nn1 own=1\n[web:vars]\nmtu={{ base_mtu }}\n")
    found.check_literals(found.host("n1"), ["own", "nothing"])
    with pytest.raises(InventoryError, match=r"^hosts\.ini:4: host n1: mtu: holds a Jinja expression"):
        found.check_literals(found.host("n1"), ["own", "mtu"])


def test_a_variable_of_a_file_has_its_line() -> None:
    place = Variable({"a": ["{{ x }}"]}, "group_vars/all.yml", 7)
    found = inventory("n1\n").with_variables({"all": {"mtu": place}}, {})
    with pytest.raises(InventoryError, match=r"^group_vars/all\.yml:7: host n1: mtu: holds a Jinja expression"):
        found.check_literals(found.host("n1"), ["mtu"])


BASTION = "[bastion]\nbastion ansible_host=203.0.113.5 ansible_user=jump ansible_port=2222\n"
BASTION += "[kube_node]\nn1\nn2 ansible_ssh_common_args='-J b'\n"


def test_a_bastion_of_kubespray_that_no_host_goes_through_is_reported() -> None:
    found = inventory(BASTION)
    (told,) = found.host("n1").ssh.not_honoured
    assert "[bastion]" in told
    assert "ansible_ssh_common_args='-J jump@203.0.113.5:2222'" in told
    assert found.host("n2").ssh.not_honoured == found.host("bastion").ssh.not_honoured == ()


def test_an_empty_bastion_is_none() -> None:
    assert inventory("[bastion]\n[kube_node]\nn1\n").host("n1").ssh.not_honoured == ()


def test_a_bastion_without_variables_is_named_as_it_is() -> None:
    assert "-J jump1'" in inventory("[bastion]\njump1\n[kube_node]\nn1\n").host("n1").ssh.not_honoured[0]
