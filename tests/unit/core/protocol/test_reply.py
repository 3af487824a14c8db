"""Replies as real nodes give them, and as no node should."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import RemoteError
from tasks.core.facts import FileFact, ModuleState
from tasks.core.protocol.reply import parse_reply
from tests.support.builders import KERNEL, OnNode, facts, mutated, reply
from tests.support.replies import AS_ROOT, BUSYBOX, DEBIAN


def test_a_debian_nodes_reply_is_understood() -> None:
    node = parse_reply(DEBIAN)
    assert (node.kernel, node.uid, node.has_module_index, node.container) == (KERNEL, 1000, True, "")
    assert node.key("net.ipv4.ip_forward") == "0"
    assert node.key("net.ipv4.ip_local_port_range") == "1024 65535"
    assert node.key("net.ipv4.ip_local_reserved_ports") == ""
    assert node.key("net.core.bpf_jit_harden") is None
    assert node.key("net.bridge.bridge-nf-call-iptables") is None
    assert node.lines("/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf") == (
        "# sha256 of the lines below: abc",
        "net.ipv4.ip_forward = 1",
    )
    assert node.lines("/etc/sysctl.conf") == node.lines("/nowhere") == ()


@pytest.mark.parametrize(
    ("said", "states"),
    [
        ("", {"overlay": ModuleState.LOADED, "br_netfilter": ModuleState.LOADABLE}),
        ("l", {"overlay": ModuleState.LOADABLE, "br_netfilter": ModuleState.LOADABLE}),
        ("lbr_netfilter", {"overlay": ModuleState.LOADABLE, "br_netfilter": ModuleState.LOADED}),
        ("l overlay br_netfilter", {"overlay": ModuleState.LOADED, "br_netfilter": ModuleState.LOADED}),
    ],
)
def test_a_second_look_says_only_what_may_have_changed(said: str, states: dict[str, ModuleState]) -> None:
    first = facts({"vm.x": "0"}, loaded=["overlay"], loadable=["overlay", "br_netfilter"], builtin=["bridge"], uid=1000)
    second = parse_reply(f"{said}\nr/proc/sys/vm/x\n== found\n/proc/sys/vm/x:1:1\n", first)
    assert {name: second.module(name) for name in states} == states
    assert (second.uid, second.key("vm.x"), second.module("bridge")) == (first.uid, "1", ModuleState.BUILTIN)
    assert (second.has_module_index, second.dependencies, second.files) == (True, first.dependencies, {})


@pytest.mark.parametrize("ending", [".ko", ".ko.xz", ".ko.zst", ".ko.gz", ".ko.xz: kernel/net/a.ko.xz"])
@pytest.mark.parametrize(("index", "state"), [("dep", ModuleState.LOADABLE), ("builtin", ModuleState.BUILTIN)])
def test_compressed_modules_are_modules(ending: str, index: str, state: ModuleState) -> None:
    node = parse_reply(f"{AS_ROOT}== found\n/lib/modules/x/modules.{index}:kernel/net/ip-vs{ending}\n")
    assert node.module("ip_vs") is state


def test_built_in_wins_whichever_index_comes_first() -> None:
    lines = ["/lib/modules/x/modules.dep:kernel/a.ko:", "/lib/modules/x/modules.builtin:kernel/a.ko"]
    for order in (lines, lines[::-1]):
        assert parse_reply("\n".join([f"{AS_ROOT}== found", *order])).module("a") is ModuleState.BUILTIN


@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("/etc/sysctl.d/99-sysctl.conf", ("l", 0o777, 0, 14, "../sysctl.conf")),
        ("/etc/sysctl.conf", ("-", 0o600, 0, 2355, None)),
        ("/etc/modprobe.d/a b.conf", ("-", 0o755, 33, 3, None)),
        ("/etc/modprobe.d/folder.conf", ("d", 0o755, 0, 4096, None)),
    ],
)
def test_files_are_listed_with_kind_mode_owner_size_and_link(
    path: str, fact: tuple[str, int, int, int, str | None]
) -> None:
    found = parse_reply(DEBIAN).files[path]
    assert (found.kind, found.mode, found.uid, found.size, found.link) == fact


def test_busyboxs_list_is_understood_and_what_is_no_file_is_left_out() -> None:
    ours, link = "/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf", "/etc/sysctl.d/99-sysctl.conf"
    assert parse_reply(BUSYBOX).files == {
        ours: FileFact(ours, "-", 0o644, 0, 57, None, ()),
        link: FileFact(link, "l", 0o777, 0, 14, "../sysctl.conf", ()),
    }


@pytest.mark.parametrize(
    ("line", "key", "text"),
    [
        ("eload ip_vs 1 modprobe: FATAL: Module x not found", ("load", "ip_vs"), "modprobe: FATAL: Module x not found"),
        ("ekeep /etc/a.conf 2 ", ("keep", "/etc/a.conf"), "status 2"),
        ("ekeep /etc/a.conf 2", ("keep", "/etc/a.conf"), "status 2"),
    ],
)
def test_a_complaint_is_known_by_what_was_asked(line: str, key: tuple[str, str], text: str) -> None:
    assert parse_reply(f"{AS_ROOT}{line}\n").complaints == {key: text}


def test_a_value_with_colons_and_a_key_with_colons_are_told_apart() -> None:
    node = facts({"net.ipv4.conf.eth0:1.rp_filter": "2", "kernel.core_pattern": "|/bin/x:1:y %p"})
    assert node.key("net.ipv4.conf.eth0:1.rp_filter") == "2"
    assert node.key("kernel.core_pattern") == "|/bin/x:1:y %p"


def test_only_the_first_line_of_a_key_is_its_value() -> None:
    node = parse_reply(
        f"{AS_ROOT}r/proc/sys/a/b\nr/proc/sys/a/c\n== found\n/proc/sys/a/b:1:x\n/proc/sys/a/b:2:y\n/proc/sys/a/c:2:z"
    )
    assert (node.key("a.b"), node.key("a.c")) == ("x", "")


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "\n\n",
        "hello",
        "This account is currently not available.",
        "u",
        "uroot",
        "u²",
        "u-1",
        "r/proc/sys/a\n== found\n/proc/sys/a:1:1\n",
        "\ufffd\ufffd",
        "u\r\n",
    ],
)
def test_a_reply_without_sense_is_a_remote_error_that_shows_it(nonsense: str) -> None:
    with pytest.raises(RemoteError, match="makes no sense"):
        parse_reply(nonsense)


@pytest.mark.parametrize(
    "junk",
    [
        "e",
        "eload",
        "eload ip_vs",
        "== found\nx 1 0 0 0 a b c d",
        "== found\n- 1 0 0 0 a b c d",
        "== found\n-rw-r--r-- 1 ² 0 ² Jan 1 2023 /etc/x",
        "== found\nls: cannot access '/etc/x': Permission denied",
        "== found\n-rw-r--r-- 1 0 0 5 2023-01-01 12:00 /etc/x",
        "== found\nBinary file /etc/x matches",
        "== found\n/etc/x",
        "== found\n/etc/x:²:a",
        "== found\n/etc/x:" + "9" * 5000 + ":a",
        "== found\n:",
        "== found\nrubbish",
        "== unknown\nu7",
        "zz\r",
    ],
)
def test_lines_that_make_no_sense_do_no_harm_to_the_others(junk: str) -> None:
    node = parse_reply(f"{AS_ROOT}r/proc/sys/vm/x\n{junk}\n== found\n/proc/sys/vm/x:1:7\n")
    assert (node.uid, node.key("vm.x"), dict(node.files), dict(node.complaints)) == (0, "7", {}, {})


LINES = st.text(st.sampled_from("ulraxyte= /:0159²٣-wrd.ko\r\n \x85\u2028"), max_size=80)


@given(st.one_of(st.text(max_size=200), LINES))
def test_any_reply_is_facts_or_a_remote_error(said: str) -> None:
    with contextlib.suppress(RemoteError):
        parse_reply(said).for_templates()
    parse_reply(f"{AS_ROOT}{said}").for_templates()


@given(mutated(DEBIAN))
def test_a_damaged_reply_is_facts_or_a_remote_error(said: str) -> None:
    with contextlib.suppress(RemoteError):
        node = parse_reply(said)
        node.for_templates()
        assert all("\n" not in text and "\0" not in text for file in node.files.values() for _, text in file.lines)


@given(st.integers(0, len(DEBIAN)))
def test_a_reply_cut_off_anywhere_never_holds_more_than_the_whole_one(end: int) -> None:
    whole = parse_reply(DEBIAN)
    with contextlib.suppress(RemoteError):
        part = parse_reply(DEBIAN[:end])
        # the last line may be half a name
        assert len(part.values.keys() - whole.values.keys()) <= 1
        assert len(part.files.keys() - whole.files.keys()) <= 1
        assert part.loaded <= {"", *(name[:end] for name in whole.loaded for end in range(len(name) + 1))}


@given(
    st.dictionaries(st.sampled_from(["vm.x", "vm.y", "net.ipv4.z"]), st.text("0123456789 abc", max_size=9)),
    st.sets(st.sampled_from(["a", "b-c", "d_e"])),
    st.sets(st.sampled_from(["f", "g_h"])),
)
def test_what_the_builder_of_these_tests_writes_is_what_is_read(
    values: dict[str, str], loaded: set[str], loadable: set[str]
) -> None:
    node = facts(values, loaded={name.replace("-", "_") for name in loaded}, loadable=loadable)
    assert {key: node.key(key) for key in values} == {k: " ".join(text.split()) for k, text in values.items()}
    assert all(node.module(name) is ModuleState.LOADED for name in loaded)
    assert all(node.module(name) is ModuleState.LOADABLE for name in loadable)


def test_the_builder_shows_comments_as_grep_does() -> None:
    text = "# a\n; b\n\n  vm.x = 1\n# sha256 of the lines below: 00\n# sha256 of something else\n"
    node = parse_reply(reply(files={"/etc/sysctl.d/a.conf": OnNode(text)}))
    assert node.lines("/etc/sysctl.d/a.conf") == ("  vm.x = 1", "# sha256 of the lines below: 00")
