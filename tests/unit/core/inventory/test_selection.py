"""-H: the hosts that a selection means, and the texts that it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import InventoryError, SelectionError
from tasks.core.folding import fold
from tasks.core.host import Host, SshOptions
from tasks.core.inventory.ini import parse_ini
from tasks.core.inventory.inventory import Inventory
from tasks.core.inventory.selection import duplicates, select_hosts

TEXT = """
[web]
web1 ansible_host=192.0.2.11 ansible_user=ubuntu ansible_port=2201
web2 ansible_host=192.0.2.12
[db]
db1
[nodes:children]
web
db
[rack1]
web2
db1
[lab]
lab-[1:5]
[padded]
n[08:11]
[empty]
[loose]
2001:db8::5
"""


FLEET = parse_ini(TEXT, "hosts.ini")


def hosts(*patterns: str, reachable: tuple[str, ...] = (), fleet: Inventory = FLEET) -> tuple[Host, ...]:
    return select_hosts(fleet, patterns, reachable_name=lambda name: name in reachable)


def names(*patterns: str, reachable: tuple[str, ...] = (), fleet: Inventory = FLEET) -> list[str]:
    return [host.name for host in hosts(*patterns, reachable=reachable, fleet=fleet)]


def refusal(*patterns: str, fleet: Inventory = FLEET) -> str:
    with pytest.raises(SelectionError) as caught:
        hosts(*patterns, fleet=fleet)
    return str(caught.value)


SELECTIONS = [
    ("web1", ["web1"]),
    ("web", ["web1", "web2"]),
    ("nodes", ["web1", "web2", "db1"]),
    ("db1,web1", ["db1", "web1"]),
    ("web1,nodes", ["web1", "web2", "db1"]),
    ("web1,web1", ["web1"]),
    ("web1, db1 ", ["web1", "db1"]),
    ("web1,,db1,", ["web1", "db1"]),
    ("web*", ["web1", "web2"]),
    ("*1", ["web1", "web2", "db1", "lab-1", "n11"]),  # rack1 is a group that ends in 1
    ("web?", ["web1", "web2"]),
    ("web[!2]", ["web1"]),
    ("no*", ["web1", "web2", "db1"]),
    ("nodes,!web2", ["web1", "db1"]),
    ("!web2,nodes", ["web1", "db1"]),
    ("nodes,!web", ["db1"]),
    ("nodes,!web*", ["db1"]),
    ("nodes,!empty", ["web1", "web2", "db1"]),
    ("nodes,!zzz*", ["web1", "web2", "db1"]),
    ("lab,!lab-[2-4]", ["lab-1", "lab-5"]),
    ("lab,!lab-[1,3:5]", ["lab-2"]),
    ("nodes,&rack1", ["web2", "db1"]),
    ("&rack1,nodes,!db", ["web2"]),
    ("nodes,&rack1,&web", ["web2"]),
    ("lab-[1-3,5]", ["lab-1", "lab-2", "lab-3", "lab-5"]),
    ("lab-[5,1]", ["lab-5", "lab-1"]),
    ("lab-[1:5:2]", ["lab-1", "lab-3", "lab-5"]),
    ("n[08-10]", ["n08", "n09", "n10"]),
    ("n[08:10]", ["n08", "n09", "n10"]),
    ("n[08,11]", ["n08", "n11"]),
    ("lab-[1-2]*", ["lab-1", "lab-2"]),
    ("empty,db1", ["db1"]),
    ("2001:db8::5", ["2001:db8::5"]),
    ("[2001:db8::5]", ["2001:db8::5"]),
    ("ungrouped,db1", ["db1"]),
]


@pytest.mark.parametrize(("text", "expected"), SELECTIONS)
def test_a_selection_means_these_hosts_in_this_order(text: str, expected: list[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(("text", "expected"), SELECTIONS)
def test_a_selection_that_fabric_has_split_at_every_comma_means_the_same(text: str, expected: list[str]) -> None:
    assert names(*text.split(",")) == expected


def test_one_text_and_a_list_mean_the_same() -> None:
    assert select_hosts(FLEET, "web,!web1", reachable_name=lambda _: False) == hosts("web", "!web1")


def test_all_is_every_host_in_inventory_order() -> None:
    assert names("all") == names("*") == list(FLEET.names())


def test_a_glob_never_means_everything_by_the_name_of_the_group_all() -> None:
    assert names("a*", fleet=parse_ini("apple\nbanana\n", "hosts.ini")) == ["apple"]


def test_a_selected_host_comes_with_all_that_the_inventory_says() -> None:
    (host,) = hosts("web1")
    assert host == FLEET.host("web1")
    assert (host.address, host.user, host.port) == ("192.0.2.11", "ubuntu", 2201)


@pytest.mark.parametrize(
    ("text", "user", "port"),
    [
        ("root@web1", "root", 2201),
        ("web1:22", "ubuntu", 22),
        ("root@web1:22", "root", 22),
        ("web1,root@web1", "root", 2201),
        ("root@web1,web", "root", 2201),
        ("root@web1,web1:22", "root", 22),
        ("root@web", "root", 2201),
        ("root@web*:22", "root", 22),
        ("root@web[1-2]:22", "root", 22),
    ],
)
def test_a_user_or_port_by_hand_wins_over_the_inventory(text: str, user: str, port: int) -> None:
    host = hosts(text)[0]
    assert (host.name, host.address, host.user, host.port) == ("web1", "192.0.2.11", user, port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.77", Host("192.0.2.77", "192.0.2.77")),
        ("root@192.0.2.77", Host("192.0.2.77", "192.0.2.77", None, "root", typed="root@192.0.2.77")),
        ("192.0.2.77:2222", Host("192.0.2.77:2222", "192.0.2.77", 2222)),
        ("2001:db8::9", Host("2001:db8::9", "2001:db8::9")),
        ("[2001:db8::9]", Host("2001:db8::9", "2001:db8::9")),
        ("root@[2001:db8::9]:22", Host("[2001:db8::9]:22", "2001:db8::9", 22, "root", typed="root@[2001:db8::9]:22")),
        ("fe80::1%eth0", Host("fe80::1%eth0", "fe80::1%eth0")),
        (
            "me@elsewhere.example.com",
            Host("elsewhere.example.com", "elsewhere.example.com", None, "me", typed="me@elsewhere.example.com"),
        ),
        ("elsewhere:22", Host("elsewhere:22", "elsewhere", 22)),
        ("alias", Host("alias", "alias")),
    ],
)
def test_a_host_outside_the_inventory_is_named_by_address_or_alias(text: str, expected: Host) -> None:
    assert hosts(text, reachable=("alias",)) == (expected,)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("web", "web[1-2]"),
        ("root@web", "root@web[1-2]"),
        ("web:22", "web[1-2]:22"),
        ("web,root@web1,web1:22", "root@web1:22,web2"),
        ("root@web*:22,!web2", "root@web1:22"),
        ("root@web[1-2],db1", "db1,root@web[1-2]"),
        ("root@[2001:db8::9]:22,10.0.0.[7-8]:22", "10.0.0.[7-8]:22,root@[2001:db8::9]:22"),
    ],
)
def test_what_was_given_by_hand_is_kept_and_reaches_the_same_hosts_again(text: str, again: str) -> None:
    chosen = hosts(text)
    assert fold(host.typed or host.name for host in chosen) == again
    assert sorted(map(repr, hosts(again))) == sorted(map(repr, chosen))


def test_only_bare_names_outside_the_inventory_are_looked_up() -> None:
    asked: list[str] = []

    def reachable_name(name: str) -> bool:
        asked.append(name)
        return True

    select_hosts(FLEET, "web,web1:22,10.0.0.1,me@other,there:22,bare", reachable_name=reachable_name)
    assert asked == ["bare"]


def test_two_ports_of_one_address_are_two_hosts() -> None:
    assert names("127.0.0.1:[2201-2203]") == ["127.0.0.1:2201", "127.0.0.1:2202", "127.0.0.1:2203"]


def test_addresses_may_be_ranges() -> None:
    assert names("10.0.0.[9-11],2001:db8::[1-2]") == [
        "10.0.0.9",
        "10.0.0.10",
        "10.0.0.11",
        "2001:db8::1",
        "2001:db8::2",
    ]


@pytest.mark.parametrize(
    "text", ["10.0.0.7:22,web,!10.0.0.7", "10.0.0.7:22,web,!10.0.0.7:22", "web,10.0.0.7,!10.0.0.*"]
)
def test_a_host_chosen_by_address_can_be_excluded_by_it(text: str) -> None:
    assert names(text) == ["web1", "web2"]


def test_an_inventory_host_can_be_excluded_by_its_address() -> None:
    assert names("web,!192.0.2.11") == ["web2"]


def test_an_excluded_host_may_have_variables_that_cannot_be_used() -> None:
    fleet = parse_ini("good\nbroken ansible_port=0\n", "hosts.ini")
    assert names("all,!broken", fleet=fleet) == ["good"]
    with pytest.raises(InventoryError, match=r"hosts\.ini:2: host broken"):
        names("all", fleet=fleet)


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    expected = 'no host or group "nodez" in hosts.ini, and no such host can be found; did you mean "nodes"?'
    assert refusal("nodez") == expected


def test_an_unknown_name_far_from_all_others_gets_no_suggestion() -> None:
    assert refusal("qqqqqq") == 'no host or group "qqqqqq" in hosts.ini, and no such host can be found'


def test_an_unknown_name_from_a_range_says_which_range() -> None:
    text = refusal("lab-[4-6]")
    assert text.startswith('no host or group "lab-6" (from "lab-[4-6]") in hosts.ini, and no such host can be found')


def test_one_wrong_name_spoils_the_whole_selection() -> None:
    assert 'did you mean "web1"?' in refusal("db1,web11")


REFUSALS = [
    ("web,!web9", 'no host or group "web9" in hosts.ini'),
    ("web,&rack9", 'did you mean "rack1"?'),
    ("web,!10.9.9.9", 'no host or group "10.9.9.9"'),
    ("!web1", '"!web1" only excludes hosts: name those to exclude them from, for instance `-H all,!web1`'),
    ("&rack1", "only excludes hosts"),
    ("empty", '"empty" selects no host'),
    ("root@empty", "selects no host"),
    ("web,!web", "selects no host"),
    ("web,&lab", "selects no host"),
    ("zz*", 'no host or group in hosts.ini matches "zz*"'),
    ("web,zz*", 'matches "zz*"'),
    ("web1:0", "expected a port from 1 to 65535"),
    ("web1:99999", "expected a port from 1 to 65535"),
    ("web1:", "expected a port from 1 to 65535"),
    ("web1:ssh", "expected a port from 1 to 65535"),
    ("@web1", "expected a user before the @"),
    ("web1:22:22", "expected user@host:port"),
    ("lab-[3-1]", "counts upwards"),
    ("lab-[01-3]", "of equal length"),
    ("lab-[1-999999]", "at most 65536 hosts"),
    ("x[1-999]y[1-999]", ""),
    ("lab-[1-3", "expected brackets in pairs"),
    ("lab-]1[", "expected brackets in pairs"),
    ("!", "it is empty"),
    ("-oProxyCommand=id", "starts with a dash"),
    ("root@-oProxyCommand=id", "which no host or user name has"),
    ("root@-x", "starts with a dash"),
    ("!-x", "starts with a dash"),
    ("a b", "which no host or user name has"),
    ("a\tb", "which no host or user name has"),
    ("a\x1b[31m", ""),
    ("web1\n", "which no host or user name has"),
    ("a;id", "which no host or user name has"),
    ("$(id)", "which no host or user name has"),
    ("`id`", "which no host or user name has"),
    ("a|b", "which no host or user name has"),
    ("a%b", "which no host or user name has"),
    ("a!b", "which no host or user name has"),
    ("web,!a b", "which no host or user name has"),
]


@pytest.mark.parametrize(("text", "problem"), REFUSALS)
def test_a_selection_that_cannot_be_acted_on_says_why(text: str, problem: str) -> None:
    assert problem in refusal(text)


@pytest.mark.parametrize("patterns", [(), ("",), (",", " ")])
def test_no_patterns_at_all_gives_a_hint(patterns: tuple[str, ...]) -> None:
    assert "-H all" in refusal(*patterns)


@given(st.text(max_size=20) | st.text(alphabet="web1[]-:,!&*@. ", max_size=20))
def test_whatever_is_selected_the_only_error_is_a_selection_error(text: str) -> None:
    try:
        found = names(text)
    except SelectionError:
        return
    assert found
    assert len(found) == len(set(found))


def host(name: str, address: str, port: int | None = None, **ssh: str) -> Host:
    return Host(name, address, port, ssh=SshOptions(proxy_jump=ssh.get("jump")))


def test_hosts_with_one_address_and_port_are_one_node() -> None:
    assert duplicates([host("a", "10.0.0.1"), host("b", "10.0.0.2"), host("c", "10.0.0.1")]) == {"c": "a"}


def test_every_twin_is_named_after_the_first() -> None:
    assert duplicates([host(name, "x") for name in "abc"]) == {"b": "a", "c": "a"}


def test_a_host_is_never_skipped_for_its_own_sake() -> None:
    assert duplicates([host("a", "x"), host("a", "x"), host("b", "x")]) == {"b": "a"}


def test_no_port_is_port_22_and_names_have_no_case() -> None:
    assert duplicates([host("a", "Node.Example"), host("b", "node.example", 22)]) == {"b": "a"}


def test_one_ipv6_address_may_be_written_in_two_ways() -> None:
    assert duplicates([host("a", "2001:db8::1"), host("b", "2001:DB8:0:0::1")]) == {"b": "a"}


def test_other_ports_and_other_bastions_are_other_nodes() -> None:
    fleet = [host("a", "10.0.0.1"), host("b", "10.0.0.1", 2222), host("c", "10.0.0.1", jump="dc2")]
    assert duplicates(fleet) == {}


# ---------------------------------------------------------------- the first, the last, and some of a group

SUBSCRIPTS = [
    ("web[0]", ["web1"]),
    ("web[-1]", ["web2"]),
    ("web[-2]", ["web1"]),
    ("web[0:1]", ["web1", "web2"]),
    ("web[1:]", ["web2"]),
    ("lab[1:3]", ["lab-2", "lab-3", "lab-4"]),
    ("lab[3:99]", ["lab-4", "lab-5"]),
    ("nodes[2]", ["db1"]),
    ("all[0]", ["web2"]),
    ("web1[0]", ["web1"]),
    ("nodes[0:1],!web[0]", ["web2"]),
    ("nodes,&web[1]", ["web2"]),
    ("web,!*[0]", ["web1"]),
    ("lab[0],web[-1]", ["lab-1", "web2"]),
    ("web[1-2]", ["web1", "web2"]),  # a range of names: Ansible has given up [x-y] as a count
    ("lab-[1:2]", ["lab-1", "lab-2"]),  # nothing is called lab-, so these are a range
    ("we[b]1", ["web1"]),
]


@pytest.mark.parametrize(("text", "expected"), SUBSCRIPTS)
def test_a_number_after_a_group_counts_its_hosts(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_a_number_after_a_group_counts_its_hosts_with_a_user_and_a_port_too() -> None:
    assert [(host.name, host.user, host.port) for host in hosts("root@web[1]:22,me@lab[1:2]")] == [
        ("web2", "root", 22),
        ("lab-2", "me", None),
        ("lab-3", "me", None),
    ]


@pytest.mark.parametrize(
    "text", ["web[2]", "web[-3]", "web[12]", "web[2:]", "lab,!web[5]", "root@web[2]:22", "web[1:0]"]
)
def test_a_number_that_a_group_does_not_have_is_refused_and_never_taken_for_a_glob(text: str) -> None:
    assert '"web" has those from [0] to [1]' in refusal(text)


def test_a_group_is_counted_in_ansibles_order_and_not_in_that_of_the_file() -> None:
    fleet = parse_ini("n1\nn2\n[late]\nn2\n[early]\nn1\n[both:children]\nlate\nearly\n", "hosts.ini")
    assert names("both[0]", fleet=fleet) == ["n2"]
