"""One host's conversation: on a whole small node with a real shell, and on a scripted channel where it has to fail."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import NodeError, RemoteError, ShellEndedError, UnreachableError, UsageError
from tasks.core.host import Become, Host
from tasks.core.plan.fix import MODULES_FILE, SYSCTL_FILE, parse_item
from tasks.core.profile.profile import Profile, render
from tasks.core.protocol.reply import parse_reply
from tasks.core.redact import Secret
from tasks.core.result import Item, NodeResult, Status
from tasks.core.sanitize import UNSAFE_CHARACTERS, sanitize
from tasks.node import converge as node_converge
from tasks.node import orders as instructions
from tasks.node import script
from tasks.node import steps as node
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation, NodeStep
from tasks.node.results import failure_result
from tests.support.builders import MODULES, SYSCTL, Node, host, mutated, profile, reply
from tests.support.shells import Machine, no_namespaces

BRIDGE = "net.bridge.bridge-nf-call-iptables"
real = pytest.mark.skipif(no_namespaces(), reason="no user namespaces here")


def work(*profiles: Profile, hosts: tuple[str, ...] = ("n1",), **more: object) -> StepContext:
    return replace(StepContext({name: profiles for name in hosts}), **more)  # type: ignore[arg-type]


def statuses(result: NodeResult) -> dict[str, str]:
    return {item.name: str(item.status) for item in result.items}


# On a real shell


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "node", keys={"vm.x": "0", "vm.y": "5"})
    made.module("br_netfilter", {BRIDGE: "0"})
    return made


def on(machine: Machine, step: NodeStep, jobs: StepContext, whom: Host | None = None) -> NodeResult:
    """A step on a node, as the fleet runs it: an exception becomes the result."""
    whom = whom or host()
    with machine.open() as channel:
        try:
            return step(Conversation(channel), whom, jobs)
        except Exception as error:
            return failure_result(whom, error)


FULL = work(profile(f"vm.x = 1\nvm.y >= 3\n{BRIDGE} = 1\n-vm.z = 1\n", "br_netfilter\n-none\n"))


@real
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


@real
def test_an_optional_key_that_comes_with_a_module_nobody_connects_it_to_is_set_in_the_second_pass(
    machine: Machine,
) -> None:
    machine.module("ip_vs", {"net.netfilter.nf_conntrack_max": "1"})
    jobs = work(profile("-net.netfilter.nf_conntrack_max = 7\n", "ip_vs\n"))
    done = on(machine, node.apply_host, jobs)
    assert done.status is Status.CHANGED
    assert machine.key("net.netfilter.nf_conntrack_max") == "7"
    assert machine.read(SYSCTL.format("p")[1:]).endswith("\nnet.netfilter.nf_conntrack_max = 7\n")
    assert on(machine, node.apply_host, jobs).status is Status.OK


@real
def test_a_required_key_that_comes_with_a_module_nobody_connects_it_to_is_set_in_the_second_pass(
    machine: Machine,
) -> None:
    machine.module("ip_vs", {"net.netfilter.nf_conntrack_max": "1"})
    done = on(machine, node.apply_host, work(profile("net.netfilter.nf_conntrack_max = 7\n", "ip_vs\n")))
    assert (done.status, machine.key("net.netfilter.nf_conntrack_max")) == (Status.CHANGED, "7"), done.items


@real
def test_what_a_first_pass_did_is_told_also_when_somebody_else_comes_before_the_second(machine: Machine) -> None:
    machine.module("ip_vs", {"net.netfilter.nf_conntrack_max": "1"})
    jobs = work(profile("net.netfilter.nf_conntrack_max = 7\n", "ip_vs\n"), force_unlock=True)
    lock = f"{os.getpid()} 0 none 00ff fix bob@desk 20261125-021502-a3f1\n"
    with machine.open() as channel:
        channel.before(3, lambda: machine.write("run/nodeprep.lock", lock))
        done = node.apply_host(Conversation(channel), host(), jobs)
    assert done.status is Status.FAILED
    found = statuses(done)
    assert found["ip_vs"] == "changed"
    assert found["net.netfilter.nf_conntrack_max"] not in ("ok", "changed")
    (note,) = done.notes
    assert note.startswith("no second pass: locked by bob@desk: fix since 2026-11-25 02:15:02 UTC; wait")
    assert machine.read("run/nodeprep.lock") == lock, "the other's"


@real
def test_a_module_that_does_not_load_is_told_with_modprobes_words(machine: Machine) -> None:
    machine.module("broken")
    (machine.root / "brings/broken").unlink()
    done = on(machine, node.apply_host, work(profile("vm.x = 1\n", "broken\nbr_netfilter\n")))
    assert done.status is Status.FAILED
    (item,) = (item for item in done.items if item.name == "broken")
    assert (item.status, "modprobe: FATAL: Module broken not found" in item.why) == ("drift", True)
    assert (machine.key("vm.x"), "br_netfilter" in machine.read("proc/modules")) == ("1", True)


@real
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


@real
def test_a_fix_that_is_not_to_be_kept_writes_no_file(machine: Machine) -> None:
    def repair(conversation: Conversation, whom: Host, jobs: StepContext) -> NodeResult:
        return node.fix_host(parse_item("vm.x=1"), False, conversation, whom, jobs)

    done = on(machine, repair, work(profile("vm.x = 2\n")))
    assert (done.status, machine.key("vm.x")) == (Status.CHANGED, "1")
    assert done.notes == ("verify will call this drift: the profile wants vm.x = 2",)
    assert list((machine.root / "etc").rglob("*.conf")) == []


@real
def test_a_fix_of_a_key_that_the_kernel_does_not_have_keeps_nothing(machine: Machine) -> None:
    done = on(
        machine,
        lambda *conversation: node.fix_host(parse_item("vm.typo=1"), True, *conversation),
        work(profile("vm.y = 5\n")),
    )
    assert (done.status, statuses(done)) == (Status.FAILED, {"vm.typo": "missing"})
    assert list((machine.root / "etc").rglob("*.conf")) == []


@real
@pytest.mark.parametrize("only", ["modules", "sysctl"])
def test_only_one_half_is_looked_at_and_changed(only: str, machine: Machine) -> None:
    done = on(machine, node.apply_host, replace(work(profile("vm.x = 1\n", "br_netfilter\n")), only=only))
    assert {str(item.kind) for item in done.items} == {"file", "module" if only == "modules" else "sysctl"}
    assert machine.key("vm.x") == ("0" if only == "modules" else "1")
    assert ("br_netfilter" in machine.read("proc/modules")) is (only == "modules")


@real
def test_a_file_that_cannot_be_written_does_not_keep_keys_from_being_set_nor_brings_old_values_back(
    machine: Machine,
) -> None:
    jobs = work(profile("vm.x = 1\nvm.y = 6\n"))
    machine.write("proc/sys/vm/y", "6\n")
    machine.write(SYSCTL.format("p")[1:], "vm.y = 5\n")
    stub = '#!/bin/sh\ncase $* in */etc/*) echo mv: no >&2; exit 1 ;; esac\nexec /usr/bin/mv "$@"\n'
    (machine.root / "stub/mv").write_text(stub)
    (machine.root / "stub/mv").chmod(0o755)
    done = on(machine, node.apply_host, jobs)
    assert (done.status, machine.key("vm.x"), machine.key("vm.y")) == (Status.FAILED, "1", "6")
    assert [item.why for item in done.items if item.name == SYSCTL.format("p")] == ["mv: no"]
    assert [path.name for path in (machine.root / "etc/sysctl.d").iterdir()] == [Path(SYSCTL.format("p")).name]


@real
def test_facts_decide_which_names_a_template_asks_for(machine: Machine) -> None:
    text = "{% if facts.kernel == '6.1.0' %}\nvm.x = 1\n{% else %}\nvm.y = 5\n{% endif %}\n"
    with machine.open() as channel:
        done = node.apply_host(Conversation(channel), host(), work(profile(text)))
    assert (done.status, statuses(done)) == (Status.CHANGED, {"vm.x": "changed", SYSCTL.format("p"): "changed"})
    assert channel.sent.count(b"again ") == 2


@real
def test_a_template_that_fails_with_a_nodes_own_facts_fails_that_node(machine: Machine) -> None:
    text = "vm.x = {% if facts.kernel == '6.1.0' %}{{ 1 // 0 }}{% else %}1{% endif %}\n\n"
    done = on(machine, node.plan_host, work(profile(text)))
    assert done.status is Status.FAILED
    assert "with this node's facts: templates/p/sysctl.conf.j2:1: ZeroDivisionError" in done.problem


@real
def test_profiles_that_contradict_each_other_with_a_nodes_own_facts_fail_that_node(machine: Machine) -> None:
    text = "vm.x = {{ 2 if facts.kernel == '6.1.0' else 1 }}\n"
    done = on(machine, node.apply_host, work(profile("vm.x = 1\n", name="a"), profile(text, name="b")))
    assert (done.status, machine.key("vm.x")) == (Status.FAILED, "0")
    assert "profile a wants vm.x = 1" in done.problem


# sudo, on a real shell with a sudo that does what sudo does


@pytest.fixture
def unprivileged(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "node", uid=1000, keys={"vm.x": "0"})


JOBS = work(profile("vm.x = 1\n"))


@real
def test_sudo_without_a_password_is_used_for_the_change_only(unprivileged: Machine) -> None:
    assert on(unprivileged, node.plan_host, JOBS).status is Status.DRIFT
    assert "1000" in unprivileged.read("proc/self/status")
    done = on(unprivileged, node.apply_host, JOBS)
    assert (done.status, unprivileged.key("vm.x")) == (Status.CHANGED, "1")
    assert "\t0\t" in unprivileged.read("proc/self/status")


@real
def test_the_right_password_is_sent_once_and_only_when_it_is_asked_for(unprivileged: Machine) -> None:
    unprivileged.write("password", "pa$$ 'w\"rd`\\")
    done = on(unprivileged, node.apply_host, replace(JOBS, password=Secret("pa$$ 'w\"rd`\\")))
    assert (done.status, unprivileged.read("attempts")) == (Status.CHANGED, "tried\n")


@real
def test_a_password_that_nobody_asks_for_is_not_sent(unprivileged: Machine) -> None:
    with unprivileged.open() as channel:
        done = node.apply_host(Conversation(channel), host(), replace(JOBS, password=Secret("correct horse")))
    assert done.status is Status.CHANGED
    assert b"correct horse" not in channel.sent


@real
@pytest.mark.parametrize("tries", [1, 3])
def test_a_wrong_password_is_tried_once_and_nowhere_else(tries: int, unprivileged: Machine, tmp_path: Path) -> None:
    other = Machine(tmp_path / "other", uid=1000, keys={"vm.x": "0"})
    jobs = replace(work(profile("vm.x = 1\n"), hosts=("n1", "n2")), password=Secret("wrong"))
    for machine in (unprivileged, other):
        machine.write("password", "right")
        machine.write("tries", str(tries))
    first = on(unprivileged, node.apply_host, jobs)
    second = on(other, node.apply_host, jobs, host("n2"))
    assert (first.status, second.status) == (Status.FAILED, Status.FAILED)
    assert ("password" in first.problem, "n1 refused it" in second.problem) == (True, True)
    assert (unprivileged.read("attempts"), other.read("attempts")) == ("tried\n", "")
    assert (unprivileged.key("vm.x"), other.key("vm.x")) == ("0", "0")
    assert "wrong\n" not in first.problem + first.next_step + repr(jobs)


@real
def test_a_password_of_the_inventorys_own_beats_the_one_that_was_typed(unprivileged: Machine) -> None:
    unprivileged.write("password", "mine")
    whom = replace(host(), become=Become(password=Secret("mine")))
    assert on(unprivileged, node.apply_host, replace(JOBS, password=Secret("typed")), whom).status is Status.CHANGED


@real
@pytest.mark.parametrize(
    ("password", "allowed", "given", "problem", "step"),
    [
        ("right", True, None, "sudo needs a password for admin", "--prompt-for-sudo-password"),
        ("", False, None, "sudo refused admin: the node's shell ended with status 1: admin is not", "-l"),
        ("right", False, "right", "sudo refused admin: the node's shell ended with status 1", "sudo -l"),
    ],
    ids=["a password is needed", "not in sudoers", "not in sudoers with a password"],
)
def test_a_sudo_that_refuses_says_why_and_what_helps(
    password: str, allowed: bool, given: str | None, problem: str, step: str, unprivileged: Machine
) -> None:
    if password:
        unprivileged.write("password", password)
    if not allowed:
        (unprivileged.root / "allowed").unlink()
    done = on(unprivileged, node.apply_host, replace(JOBS, password=Secret(given) if given else None))
    assert done.status is Status.FAILED
    assert problem in done.problem
    assert step in done.next_step
    assert unprivileged.key("vm.x") == "0"


@real
def test_a_host_that_may_not_become_root_is_not_changed(unprivileged: Machine) -> None:
    done = on(unprivileged, node.apply_host, JOBS, replace(host(), become=Become(wanted=False)))
    assert done.status is Status.FAILED
    assert "ansible_become is false" in done.problem


# On a node that is a few dicts


class Dicts:
    """A Channel to a build.Node: it reads requests as the script does, and answers. Logged in as root."""

    user = "root"
    seconds_left = 60.0

    def __init__(self, far: Node) -> None:
        self.far, self.requests = far, 0
        self._said = b""

    def start(self, command: str, data: bytes) -> None:
        """The first request."""
        self._mark = command.rsplit(" ", 1)[1]
        self._answer(data)

    def send(self, data: bytes) -> None:
        """A further one."""
        head, _, request = data.partition(b"\n")
        assert head == f"again {len(request)}".encode()
        self._answer(request)

    def _answer(self, data: bytes) -> None:
        self.requests += 1
        lines = data.decode().split(self._mark)[1].strip("\n").split("\n")
        body = self.far.obey(lines).replace("== ", f"{self._mark} ")
        self._said += f"{self._mark} begin\n{body}{self._mark} end\n".encode()

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """From what was answered."""
        for end in ends:
            before, found, after = self._said.partition(end)
            if found:
                self._said = after
                return before, end
        raise AssertionError("asked for more than was said")


def apply(far: Node, jobs: StepContext) -> tuple[NodeResult, Dicts]:
    channel = Dicts(far)
    return node.apply_host(Conversation(channel), host(), jobs), channel


def test_nothing_to_do_costs_one_request() -> None:
    far = Node(keys={"vm.x": "0"})
    assert apply(far, JOBS)[1].requests == 2
    assert apply(far, JOBS)[1].requests == 1


@pytest.mark.parametrize("noisy", [True, False], ids=["sysctl complains", "sysctl says nothing"])
def test_a_value_that_the_kernel_refuses_is_kept_by_the_kernel(noisy: bool) -> None:
    far = Node(keys={"vm.x": "0", "vm.y": "0"}, turned={"vm.x": lambda _: None}, noisy=noisy)
    done, channel = apply(far, work(profile("vm.x = 1\nvm.y = 1\n")))
    (item,) = (item for item in done.items if item.name == "vm.x")
    assert (done.status, item.status, item.got) == (Status.FAILED, "kept-by-kernel", "0")
    assert ("I/O error" in item.why) is noisy
    assert (far.keys["vm.y"], channel.requests) == ("1", 2)


def test_a_value_that_the_kernel_turns_into_another_is_not_called_changed() -> None:
    far = Node(keys={"vm.x": "0"}, turned={"vm.x": lambda _: "7"})
    done, _ = apply(far, JOBS)
    (item,) = (item for item in done.items if item.name == "vm.x")
    assert (item.status, item.got) == ("kept-by-kernel", "7")


def test_a_file_that_cannot_be_written_fails_the_node_and_the_keys_are_set_all_the_same() -> None:
    far = Node(keys={"vm.x": "0"}, read_only=True)
    done, _ = apply(far, JOBS)
    (item,) = (item for item in done.items if item.name == SYSCTL.format("p"))
    assert (done.status, item.status) == (Status.FAILED, "drift")
    assert "Read-only file system" in item.why
    assert far.keys["vm.x"] == "1"


def test_a_key_that_never_comes_to_rest_does_not_keep_the_conversation_going() -> None:
    turns = iter(range(1000))
    far = Node(keys={"vm.x": "0"}, turned={"vm.x": lambda _: str(next(turns))})
    assert apply(far, work(profile("vm.x = 5000\n")))[1].requests <= 1 + node_converge.PASSES


def test_what_is_uploaded_can_be_shown_without_changing_anything() -> None:
    far = Node(keys={"vm.x": "9"})
    shown = dict(node.render_host(Conversation(Dicts(far)), host(), work(profile("vm.x >= 1\n"))).files)
    assert list(shown) == [SYSCTL.format("p")]
    assert shown[SYSCTL.format("p")].endswith("\nvm.x = 9\n")
    assert far.log == []


def test_terminal_escapes_of_a_node_never_reach_the_result() -> None:
    far = Node(keys={"vm.x": "\x1b[31mred\x9b"})
    channel = Dicts(far)
    done = node.plan_host(Conversation(channel), host(), JOBS)
    assert [item.got for item in done.items if item.name == "vm.x"] == ["?[31mred?"]


# On replies that no node should give

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
    channel = Scripted(["MARK begin\n", f"{said}MARK end\n", UnreachableError("it went away")])
    with pytest.raises(NodeError):
        done = node.fix_host(parse_item(item), True, Conversation(channel), host(), work(profile(WANTED)))
        raise NodeError(f"nothing to send: {done.status}")


@given(st.one_of(st.binary(max_size=300), mutated(SOUND).map(str.encode)))
def test_whatever_bytes_a_node_sends_become_a_result_without_a_bug_and_without_an_escape(said: bytes) -> None:
    channel = Scripted([b"MARK begin\n", said + b"MARK end\n"])
    try:
        done = node.verify_host(Conversation(channel), host(), work(profile(WANTED)))
    except NodeError as error:
        done = failure_result(host(), error)
    texts = [done.problem, done.next_step, *(str(value) for item in done.items for value in vars_of(item))]
    assert not any(UNSAFE_CHARACTERS.search(text) for text in texts)


def vars_of(item: Item) -> tuple[object, ...]:
    return item.name, item.expected, item.got, item.why, item.next_step


# On a script of faults


@dataclass
class Scripted:
    """A Channel that says what it was told to say; `MARK` in it is the conversation's. An exception is raised."""

    says: list[str | bytes | Exception]
    user: str = "admin"
    seconds_left: float = 60.0
    sent: list[bytes] = field(default_factory=list)
    mark: str = ""

    def start(self, command: str, data: bytes) -> None:
        """Keeps the mark."""
        self.mark = command.rsplit(" ", 1)[1]
        self.send(data)

    def send(self, data: bytes) -> None:
        """Keeps what was sent."""
        self.sent.append(data)

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """The next thing."""
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        text = (said.encode() if isinstance(said, str) else said).replace(b"MARK", self.mark.encode())
        return next((text.removesuffix(end), end) for end in ends if text.endswith(end))


LOOK: list[str | Exception] = [
    "motd\nMARK begin\n",
    "r/proc/sys/vm/x\nMARK found\n/proc/self/status:Uid:\t1000\nMARK found\n/proc/sys/vm/x:1:0\nMARK end\n",
]


def with_password() -> StepContext:
    """Work with a password whose gate nobody has gone through."""
    return replace(work(profile("vm.x = 1\n")), password=Secret("secret"))


ENDED = "the node's shell ended with status 1: "


@pytest.mark.parametrize(
    ("says", "jobs", "status", "problem"),
    [
        ([RemoteError("no answer within 60 s")], JOBS, Status.FAILED, "no answer within 60 s"),
        ([*LOOK, RemoteError("no answer within 60 s")], JOBS, Status.FAILED, "no answer within 60 s"),
        ([UnreachableError("the connection was lost: x")], JOBS, Status.UNREACHABLE, "the connection was lost"),
        (["MARK begin\n", "MARK end\n"], JOBS, Status.FAILED, "the node's reply makes no sense"),
        (
            ["MARK begin\n", ShellEndedError(f"{ENDED}a piece of it")],
            JOBS,
            Status.FAILED,
            "shell ended while it replied",
        ),
        (["MARK begin\n", "hello\x1b\nMARK end\n"], JOBS, Status.FAILED, "makes no sense: 'hello\\x1b\\n'"),
        (
            [*LOOK, ShellEndedError(f"{ENDED}sudo: a password is required")],
            JOBS,
            Status.FAILED,
            "sudo needs a password",
        ),
        ([*LOOK, ShellEndedError(f"{ENDED}sudo: not found")], JOBS, Status.FAILED, "sudo refused admin"),
        (
            [*LOOK, "MARK ready\n", ShellEndedError("the node's shell ended with status -9: no output")],
            JOBS,
            Status.FAILED,
            "in the middle of a change, the node's shell ended with status -9",
        ),
        ([*LOOK, UnreachableError("the connection was lost: y")], JOBS, Status.UNREACHABLE, "was lost"),
        ([*LOOK, "MARK password", "MARK password"], with_password(), Status.FAILED, "wrong sudo password for admin"),
        ([*LOOK, "MARK password", ShellEndedError(ENDED)], with_password(), Status.FAILED, "sudo refused"),
        ([*LOOK, RuntimeError("oops")], JOBS, Status.FAILED, "RuntimeError: oops"),
    ],
)
def test_what_goes_wrong_on_the_way_becomes_the_hosts_result(
    says: list[str | Exception], jobs: StepContext, status: Status, problem: str
) -> None:
    channel, whom = Scripted(list(says)), host()
    try:
        result = node.apply_host(Conversation(channel), whom, jobs)
    except Exception as error:
        result = failure_result(whom, error)
    assert (result.host, result.status, result.items) == ("n1", status, ())
    assert problem in result.problem
    assert "secret" not in result.problem + result.next_step
    assert channel.says == []


def test_the_change_is_not_sent_before_sudo_took_the_password() -> None:
    channel = Scripted([*LOOK, "MARK password", ShellEndedError(ENDED)])
    with pytest.raises(NodeError):
        node.apply_host(Conversation(channel), host(), with_password())
    assert [bool(re.match(rb"password \d+\n\Z", data)) for data in channel.sent] == [False, True, False]
    assert channel.sent[2] == b"secret\n"


@pytest.mark.parametrize(
    ("end", "others_try"),
    [
        (["MARK password"], False),
        ([ShellEndedError(f"{ENDED}sudo: 1 incorrect password attempt")], False),
        ([ShellEndedError(f"{ENDED}sudo: Maximum 1 incorrect authentication attempts reached")], False),
        ([ShellEndedError(f"{ENDED}admin is not in the sudoers file.")], True),
        ([UnreachableError("the connection was lost")], True),
    ],
    ids=["asked again", "passwd_tries=1", "sudo-rs", "not in sudoers", "connection lost"],
)
def test_only_a_refused_password_keeps_the_others_from_trying(end: list[str | Exception], others_try: bool) -> None:
    jobs = replace(work(profile("vm.x = 1\n"), hosts=("n1", "n2")), password=Secret("secret"))
    with pytest.raises(NodeError):
        node.apply_host(Conversation(Scripted([*LOOK, "MARK password", *end])), host(), jobs)
    second = Scripted([*LOOK, "MARK password", UnreachableError("far enough")])
    with pytest.raises(NodeError, match="far enough" if others_try else "n1 refused it"):
        node.apply_host(Conversation(second), host("n2"), jobs)
    assert (b"secret\n" in second.sent) is others_try


def test_a_host_waits_for_its_turn_with_the_password_no_longer_than_it_may_take() -> None:
    jobs = with_password()
    assert jobs.password is not None
    jobs.gates.of(jobs.password).enter(1.0)  # and never leaves
    channel = Scripted([*LOOK], seconds_left=0.05)
    with pytest.raises(NodeError, match="at this one's deadline"):
        node.apply_host(Conversation(channel), host(), jobs)
    assert b"secret\n" not in channel.sent


def test_one_wrong_password_among_many_hosts_at_once_is_tried_once() -> None:
    names = tuple(f"n{number}" for number in range(8))
    jobs = replace(work(profile("vm.x = 1\n"), hosts=names), password=Secret("secret"))
    channels = {name: Scripted([*LOOK, "MARK password", "MARK password"]) for name in names}

    def attempt(name: str) -> str:
        with pytest.raises(NodeError) as caught:
            node.apply_host(Conversation(channels[name]), host(name), jobs)
        return caught.value.problem

    with ThreadPoolExecutor(8) as pool:
        problems = list(pool.map(attempt, names))
    assert sum("wrong sudo password" in problem for problem in problems) == 1
    assert sum("was not tried here" in problem for problem in problems) == 7
    assert sum(b"secret\n" in channel.sent for channel in channels.values()) == 1


@pytest.mark.parametrize(
    ("text", "shown"), [("a\tb", "a\tb"), ("\x1b[1m\r\n\0\x7f\x85", "?[1m?????"), ("grün 漢", "grün 漢")]
)
def test_what_is_printed_of_a_node_holds_no_control_characters(text: str, shown: str) -> None:
    assert sanitize(text) == shown


@pytest.mark.parametrize(
    ("error", "status", "step"),
    [
        (UnreachableError("a", "b"), Status.UNREACHABLE, "b"),
        (RemoteError("a", "b"), Status.FAILED, "b"),
        (KeyError("a"), Status.FAILED, "this is a bug in nodeprep: please report it"),
        (UsageError("a"), Status.FAILED, ""),
    ],
)
def test_an_error_is_its_hosts_own_result(error: Exception, status: Status, step: str) -> None:
    found = failure_result(host(), error)
    assert (found.host, found.status) == ("n1", status)
    assert step in found.next_step
