"""The inventory's grammar, its errors, the precedence of variables, and what templates see of a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import InventoryError, UsageError
from tasks.core.host import Host
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.inventory import Inventory
from tasks.core.inventory.ranges import expand_range, split_port
from tasks.core.profile.variables import template_variables

FOLDER = Path(__file__).parent / "inventories"


def inventory(text: str) -> Inventory:
    return parse_ini(text, "hosts.ini")


def variable(text: str, name: str, host: str = "n1") -> object:
    return inventory(text).variables(host).get(name)


# ---------------------------------------------------------------- hosts and groups


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


def test_a_byte_order_mark_is_not_part_of_the_first_line() -> None:
    assert inventory("\ufeff[web]\nn1\n").host("n1").groups == ("web",)


RANGES = [
    ("n[1:3]", ["n1", "n2", "n3"]),
    ("n[:2]", ["n0", "n1", "n2"]),
    ("n[08:11]", ["n08", "n09", "n10", "n11"]),
    ("n[1:10:4]", ["n1", "n5", "n9"]),
    ("n[a:c]", ["na", "nb", "nc"]),
    ("n[a:e:2]", ["na", "nc", "ne"]),
    ("n[y:B]", ["ny", "nz", "nA", "nB"]),
    ("r[1:2]n[1:2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
    ("n[3:3]", ["n3"]),
    ("plain", ["plain"]),
]


@pytest.mark.parametrize(("pattern", "names"), RANGES)
def test_ranges_are_counted_out(pattern: str, names: list[str]) -> None:
    assert list(expand_range(pattern)) == names


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("n1:22", "n1", "22"),
        ("n[1:3]:22", "n[1:3]", "22"),
        ("[2001:db8::1]:22", "2001:db8::1", "22"),
        ("[2001:db8::[1:3]]:22", "2001:db8::[1:3]", "22"),
        ("2001:db8::1", "2001:db8::1", None),
        ("n1", "n1", None),
        ("n1:", "n1:", None),
        ("bad_:22", "bad_:22", None),
        ("10.0.0.1:2222", "10.0.0.1", "2222"),
    ],
)
def test_a_port_is_split_off_where_the_rest_can_be_a_host(text: str, name: str, port: str | None) -> None:
    assert split_port(text) == (name, port)


# ---------------------------------------------------------------- variables


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("True", True),
        ("true", "true"),
        ("yes", "yes"),
        ("010", "010"),
        ("0x10", 16),
        ("None", None),
        ("", ""),
        ("[1, 'a']", [1, "a"]),
        ("(1, 2)", [1, 2]),
        ("{'a': {1}}", {"a": [1]}),
        ("b'raw'", "raw"),
        ("1+2j", "(1+2j)"),
        ("...", "..."),
        ('"30000-32767"', "30000-32767"),
        ("two words", "two words"),
        ("a#b", "a#b"),
        ("a # b", "a # b"),
        ("7 # seven", 7),
        ('"x" # said', "x"),
        (r"C:\dir", r"C:\dir"),
        (r'"a\tb"', "a\tb"),
        ("{{ other }}", "{{ other }}"),
        ("[" * 500, "[" * 500),
    ],
)
def test_values_of_group_variables_are_python_literals_or_text(text: str, value: object) -> None:
    found = variable(f"[web]\nn1\n[web:vars]\nv = {text}\n", "v")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("v='a b'", "a b"),
        ('v="1"', 1),
        ("v=\"'1'\"", "1"),
        (r"v=a\ b", "a b"),
        ("v=a#b", "a"),
        ("v='a # b'", "a # b"),
        ("v=a=b", "a=b"),
        ("v=''", ""),
        ("v=1 v=2", 2),
    ],
)
def test_values_on_host_lines_are_split_as_a_shell_would_first(text: str, value: object) -> None:
    assert variable(f"n1 {text}\n", "v") == value


def test_a_host_line_beats_a_child_group_which_beats_its_parent_which_beats_all() -> None:
    text = "[c]\nn1 d=host\n[p:children]\nc\n[all:vars]\na=all\nb=all\nc=all\nd=all\n"
    text += "[p:vars]\nb=p\nc=p\nd=p\n[c:vars]\nc=c\nd=c\n"
    values = inventory(text).variables("n1")
    assert values == {"a": "all", "b": "p", "c": "c", "d": "host"}


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
    assert "hunter" not in shown and "31337" not in shown
    assert found.host("n1").ssh.password == "hunter2"
    assert found.host("n1").become.password == "31337"


# ---------------------------------------------------------------- errors

ERRORS = [
    ("n1\n[web\n", 2, "closing ']'"),
    ("[web]\nn1\n[a b]\n", 3, "expected a section like [group]"),
    ("[web:hosts:x]\n", 1, "expected a section like [group]"),
    ("[web:things]\n", 1, "kind children or vars, got [web:things]"),
    ("[web:vars]\nx=1\n", 1, "expected group 'web' to be declared as [web]"),
    ("[p:children]\n\nweb\n", 3, "[p:children] includes it"),
    ("[a:children]\nb\n[b:children]\na\n", 4, "without a loop"),
    ("[a:children]\na\n", 2, "without a loop"),
    ("[a:children]\nall\n", 2, "without a loop"),
    ("[a]\n[p:children]\na b\n", 3, "expected the name of one group, got 'a b'"),
    ("[a]\n[a:vars]\nnovalue\n", 3, "expected key=value, got 'novalue'"),
    ("n1 novalue\n", 1, "expected key=value after the host name, got 'novalue'"),
    ("# one\nn1 a='open\n", 2, "got an open quote"),
    ("n1 a\\\n", 1, "open quote"),
    ("n0\nn1:\n", 2, "expected a port after the colon"),
    ("n1:70000\n", 1, "host n1: expected a port from 1 to 65535, got 70000"),
    ("n1:0\n", 1, "expected a port from 1 to 65535, got 0"),
    ("n1\n---\n", 2, "'---'"),
    ("n[3:1]\n", 1, "counts upwards, got [3:1]"),
    ("n[c:a]\n", 1, "counts upwards"),
    ("n[01:3]\n", 1, "of equal length, got [01:3]"),
    ("n[1:3:0]\n", 1, "step of 1 or more"),
    ("n[1:3:-1]\n", 1, "numbers or of single letters, got [1:3:-1]"),
    ("n[1:c]\n", 1, "numbers or of single letters"),
    ("n[ab:cd]\n", 1, "numbers or of single letters"),
    ("n[1]\n", 1, "expected a range [begin:end]"),
    ("n[1:]\n", 1, "expected a range [begin:end]"),
    ("n[1:999999999]\n", 1, "at most 65536 hosts"),
    ("n[1:999]x[1:999]\n", 1, "at most 65536 hosts"),
    ("''\n", 1, "expected a host name"),
    ("[a]\n[a:vars]\nansible_group_priority=high\n", 3, "expected a whole number, got 'high'"),
    ("[a]\n[a:vars]\nv={[1]}\n", 3, "v: expected a text or a literal"),
]


@pytest.mark.parametrize(("text", "line", "problem"), ERRORS)
def test_an_error_names_the_file_the_line_and_what_was_expected(text: str, line: int, problem: str) -> None:
    with pytest.raises(InventoryError) as caught:
        inventory(text)
    assert (caught.value.source, caught.value.line) == ("hosts.ini", line)
    assert problem in caught.value.problem


def test_an_error_does_not_show_a_line_with_a_secret_in_it() -> None:
    with pytest.raises(InventoryError) as caught:
        inventory("n1 ansible_password=correct horse battery\n")
    assert "horse" not in str(caught.value)


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


# ---------------------------------------------------------------- real shapes


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


# ---------------------------------------------------------------- template variables


def host(**variables: object) -> Host:
    return Host("n1", "192.0.2.1", groups=("nodes", "web"), variables=variables)


def test_templates_see_the_name_and_the_groups_of_a_host() -> None:
    found = template_variables(host(mtu=1450))
    assert found == {"mtu": 1450, "inventory_hostname": "n1", "group_names": ["nodes", "web"]}


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({"kube_proxy_mode": "ipvs"}, "ipvs"),
        ({"PROXY_MODE": "IPTables"}, "iptables"),
        ({"kube_proxy_mode": "nftables", "PROXY_MODE": "ipvs"}, "nftables"),
    ],
)
def test_the_proxy_mode_comes_from_kubespray_then_kubeasz(variables: dict[str, Any], mode: str) -> None:
    assert template_variables(host(**variables))["kube_proxy_mode"] == mode


@pytest.mark.parametrize("name", ["kube_proxy_mode", "PROXY_MODE"])
@pytest.mark.parametrize("value", ["userspace", "", None, 1, "{{ mode }}"])
def test_a_proxy_mode_that_does_not_exist_names_host_and_variable(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^host n1: {name}: expected one of ipvs, iptables, nftables, got "):
        template_variables(host(**{name: value}))


# ---------------------------------------------------------------- properties

LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.text(alphabet="ab1[]:=,;# '\"\\\t-.{}", max_size=20),
        st.sampled_from(
            ["[a]", "[b]", "[a:children]", "[b:children]", "[a:vars]", "a", "b", "n[1:3]", "n1 x=1", "x=1"]
        ),
    ),
    max_size=12,
)


@given(LINES)
def test_whatever_is_read_the_only_error_is_an_inventory_error(lines: list[str]) -> None:
    try:
        found = inventory("\n".join(lines))
    except InventoryError:
        return
    for name in found.names():
        try:
            assert found.host(name).name == name
        except InventoryError as error:
            assert error.problem


@given(st.text(max_size=200))
def test_no_value_can_break_the_parser(text: str) -> None:
    value = " ".join(text.split())
    try:
        found = inventory(f"[web]\nn1\n[web:vars]\nv={value}\n")
    except InventoryError:
        return
    assert "v" in found.variables("n1")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.integers() | st.booleans() | st.none()))
def test_written_literals_come_back_as_they_were(values: dict[str, object]) -> None:
    text = "n1\n[ungrouped:vars]\n" + "".join(f"v_{name}={value!r}\n" for name, value in values.items())
    assert inventory(text).variables("n1") == {f"v_{name}": value for name, value in values.items()}


@given(st.integers(0, 500), st.integers(0, 40), st.integers(1, 9))
def test_a_numeric_range_has_the_numbers_that_python_counts(begin: int, length: int, step: int) -> None:
    names = list(expand_range(f"n[{begin}:{begin + length}:{step}]"))
    assert names == [f"n{number}" for number in range(begin, begin + length + 1, step)]
