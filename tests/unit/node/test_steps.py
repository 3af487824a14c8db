"""The steps of one host: on a whole small node with a real shell, on a few dicts, and on hostile replies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import NodeError, UnreachableError
from tasks.core.host import Host
from tasks.core.plan.fix import MODULES_FILE, SYSCTL_FILE, parse_item
from tasks.core.profile.profile import render
from tasks.core.protocol.reply import parse_reply
from tasks.core.result import Item, NodeResult, Status
from tasks.core.sanitize import UNSAFE_CHARACTERS
from tasks.node import orders as instructions
from tasks.node import script
from tasks.node import steps as node
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation
from tasks.node.results import failure_result
from tests.support.builders import MODULES, SYSCTL, Node, host, mutated, profile, reply
from tests.support.shells import Machine
from tests.support.steps import (
    DictChannel,
    ScriptedChannel,
    needs_namespaces,
    on,
    statuses,
    work,
)

BRIDGE = "net.bridge.bridge-nf-call-iptables"


FULL = work(profile(f"vm.x = 1\nvm.y >= 3\n{BRIDGE} = 1\n-vm.z = 1\n", "br_netfilter\n-none\n"))


@needs_namespaces
def test_plan_apply_and_apply_again_on_a_real_shell(machine: Machine) -> None:
    planned = on(machine, node.plan_host, FULL)
    assert (planned.status, machine.key("vm.x"), machine.read("etc/modules-load.d/nodeprep-p.conf")) == (
        Status.DRIFT,
        "0",
        "",
    )
    done = on(machine, node.apply_host, FULL)
    assert done.status is Status.CHANGED, done
    assert statuses(done) == {
        "br_netfilter": "changed",
        "vm.x": "changed",
        "vm.y": "ok",
        BRIDGE: "changed",
        MODULES.format("p"): "changed",
        SYSCTL.format("p"): "changed",
        "none": "skipped",
        "vm.z": "skipped",
    }
    assert (machine.key("vm.x"), machine.key("vm.y"), machine.key(BRIDGE)) == ("1", "5", "1")
    written = {path: path.stat().st_mtime_ns for path in (machine.root / "etc").rglob("*.conf")}
    again = on(machine, node.apply_host, FULL)
    assert (again.status, set(statuses(again).values())) == (Status.OK, {"ok", "skipped"})
    assert {path: path.stat().st_mtime_ns for path in (machine.root / "etc").rglob("*.conf")} == written
    assert on(machine, node.verify_host, replace(FULL, ignored=frozenset({"all"}))).status is Status.OK


@needs_namespaces
@pytest.mark.parametrize(
    ("item", "changed", "path", "kept"),
    [
        ("vm.x=1", "vm.x", SYSCTL_FILE, "\nvm.x = 1\n"),
        ("br_netfilter", "br_netfilter", MODULES_FILE, "\nbr_netfilter\n"),
    ],
)
def test_a_fix_puts_one_thing_right_and_keeps_it(
    item: str, changed: str, path: str, kept: str, machine: Machine
) -> None:
    jobs = work(profile("vm.y = 5\n"))

    def repair(conversation: Conversation, whom: Host, jobs: StepContext) -> NodeResult:
        return node.fix_host(parse_item(item), True, conversation, whom, jobs)

    done = on(machine, repair, jobs)
    assert (done.status, statuses(done)) == (Status.CHANGED, {changed: "changed", path: "changed"})
    assert machine.read(path[1:]).endswith(kept)
    assert sorted(file.name for file in (machine.root / "etc").rglob("*.conf")) == [Path(path).name]
    assert on(machine, repair, jobs).status is Status.OK


@needs_namespaces
def test_a_fix_that_is_not_to_be_kept_writes_no_file(machine: Machine) -> None:
    def repair(conversation: Conversation, whom: Host, jobs: StepContext) -> NodeResult:
        return node.fix_host(parse_item("vm.x=1"), False, conversation, whom, jobs)

    done = on(machine, repair, work(profile("vm.x = 2\n")))
    assert (done.status, machine.key("vm.x")) == (Status.CHANGED, "1")
    assert done.notes == ("verify will report this as drift: the profile wants vm.x = 2",)
    assert list((machine.root / "etc").rglob("*.conf")) == []


@needs_namespaces
def test_a_fix_of_a_key_that_the_kernel_does_not_have_keeps_nothing(machine: Machine) -> None:
    done = on(
        machine,
        lambda *conversation: node.fix_host(parse_item("vm.swapiness=1"), True, *conversation),
        work(profile("vm.swappiness = 5\n")),
    )
    assert (done.status, statuses(done)) == (Status.FAILED, {"vm.swapiness": "missing"})
    assert done.items[0].next_step == "did you mean vm.swappiness? fab -H NODE fix vm.swappiness=1"
    assert list((machine.root / "etc").rglob("*.conf")) == []


@needs_namespaces
def test_facts_decide_which_names_a_template_asks_for(machine: Machine) -> None:
    text = "{% if facts.kernel == '6.1.0' %}\nvm.x = 1\n{% else %}\nvm.y = 5\n{% endif %}\n"
    with machine.open() as channel:
        done = node.apply_host(Conversation(channel), host(), work(profile(text)))
    assert (done.status, statuses(done)) == (Status.CHANGED, {"vm.x": "changed", SYSCTL.format("p"): "changed"})
    assert channel.sent.count(b"again ") == 2


@needs_namespaces
def test_a_template_that_fails_with_a_nodes_own_facts_fails_that_node(machine: Machine) -> None:
    text = "vm.x = {% if facts.kernel == '6.1.0' %}{{ 1 // 0 }}{% else %}1{% endif %}\n\n"
    done = on(machine, node.plan_host, work(profile(text)))
    assert done.status is Status.FAILED
    assert "with this node's facts: templates/p/sysctl.conf.j2:1: ZeroDivisionError" in done.problem


@needs_namespaces
def test_profiles_that_contradict_each_other_with_a_nodes_own_facts_fail_that_node(machine: Machine) -> None:
    text = "vm.x = {{ 2 if facts.kernel == '6.1.0' else 1 }}\n"
    done = on(machine, node.apply_host, work(profile("vm.x = 1\n", name="a"), profile(text, name="b")))
    assert (done.status, machine.key("vm.x")) == (Status.FAILED, "0")
    assert "profile a wants vm.x = 1" in done.problem


def test_what_is_uploaded_can_be_shown_without_changing_anything() -> None:
    far = Node(keys={"vm.x": "9"})
    shown = dict(node.render_host(Conversation(DictChannel(far)), host(), work(profile("vm.x >= 1\n"))).files)
    assert list(shown) == [SYSCTL.format("p")]
    assert shown[SYSCTL.format("p")].endswith("\nvm.x = 9\n")
    assert far.log == []


WANTED = "vm.x = 1\nvm.y >= 3\nnet.ipv4.ip_local_reserved_ports >= 30000-32767\n-net.bridge.d = 1\n"


SOUND = reply(
    {
        "vm.x": "0",
        "vm.y": "5",
        "net.ipv4.ip_local_reserved_ports": "10250",
        "/proc/cmdline": "quiet module_blacklist=a",
    },
    loadable=["br_netfilter", "overlay"],
    hidden=["/run/systemd/system"],
    files={
        "/etc/sysctl.d/a.conf": "vm.x = 7\n-net.*.d = 2\n",
        SYSCTL.format("p"): "# sha256 of the lines below: 0\nvm.x = 1\n",
        SYSCTL_FILE: "vm.x = 3\nvm.z = 4\n",
        "/etc/modprobe.d/b.conf": "blacklist overlay\ninstall br_netfilter /bin/true\n",
        "/etc/modules-load.d/c.conf": "modprobe overlay\n",
        "/etc/sysctl.d/zz.conf": "vm.x = 9\n",
    },
    complaints=["load overlay 1 no"],
)


@given(mutated(SOUND))
def test_whatever_a_node_replies_is_a_plan_that_can_be_sent_or_a_node_error(said: str) -> None:
    wanted = [render(profile(WANTED, "-br_netfilter\n-overlay | x\n"), {})]
    try:
        seen = node.observe(wanted, node.Cleanup(comment_out=True), parse_reply(said))
    except NodeError:
        return
    sent = script.request("0" * 32, instructions.apply_instructions(seen.plan), changes=True)
    assert sent.count(b"0" * 32) == 2


@given(mutated(SOUND), st.sampled_from(["vm.x=1", "overlay"]))
def test_whatever_a_node_replies_a_repair_can_be_sent_or_is_a_node_error(said: str, item: str) -> None:
    channel = ScriptedChannel(["MARK begin\n", f"{said}MARK end\n", UnreachableError("it went away")])
    with pytest.raises(NodeError):
        done = node.fix_host(parse_item(item), True, Conversation(channel), host(), work(profile(WANTED)))
        raise NodeError(f"nothing to send: {done.status}")


@given(st.one_of(st.binary(max_size=300), mutated(SOUND).map(str.encode)))
def test_whatever_bytes_a_node_sends_become_a_result_without_a_bug_and_without_an_escape(said: bytes) -> None:
    channel = ScriptedChannel([b"MARK begin\n", said + b"MARK end\n"])
    try:
        done = node.verify_host(Conversation(channel), host(), work(profile(WANTED)))
    except NodeError as error:
        done = failure_result(host(), error)
    texts = [done.problem, done.next_step, *(str(value) for item in done.items for value in vars_of(item))]
    assert not any(UNSAFE_CHARACTERS.search(text) for text in texts)


def vars_of(item: Item) -> tuple[object, ...]:
    return item.name, item.expected, item.got, item.why, item.next_step
