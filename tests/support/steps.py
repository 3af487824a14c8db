"""Steps of nodeprep on nodes of the tests: a real shell, a few dicts, or a script of faults."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from tasks.core.host import Host
from tasks.core.profile.profile import Profile
from tasks.core.protocol.lock import STORE, ChangeId
from tasks.core.redact import Secret
from tasks.core.result import NodeResult
from tasks.core.undo.snapshot import Snapshot, parse_snapshots
from tasks.node import steps
from tasks.node.context import StepContext
from tasks.node.conversation import Conversation, NodeStep
from tasks.node.results import failure_result
from tasks.node.rollback import rollback_host
from tests.support.builders import Node, facts, host, profile
from tests.support.shells import Machine, no_namespaces

CHANGE = ChangeId("20261125-021502-a3f1", "anna@laptop", "apply")
MARK = "0123456789abcdef0123456789abcdef"
needs_namespaces = pytest.mark.skipif(no_namespaces(), reason="no user namespaces here")


def work(*profiles: Profile, hosts: tuple[str, ...] = ("n1",), **more: object) -> StepContext:
    """A context of steps: the same profiles for all hosts."""
    return replace(StepContext(dict.fromkeys(hosts, profiles), CHANGE), **more)  # type: ignore[arg-type]


JOBS = work(profile("vm.x = 1\n"))


def with_password() -> StepContext:
    """Work with a password whose gate nobody has gone through."""
    return work(profile("vm.x = 1\n"), password=Secret("secret"))


def statuses(result: NodeResult) -> dict[str, str]:
    """The status of each item by its name."""
    return {item.name: str(item.status) for item in result.items}


def on(machine: Machine, step: NodeStep, jobs: StepContext, whom: Host | None = None) -> NodeResult:
    """A step on a node, as the fleet runs it: an exception becomes the result."""
    whom = whom or host()
    with machine.open() as channel:
        try:
            return step(Conversation(channel), whom, jobs)
        except Exception as error:
            return failure_result(whom, error)


def back(machine: Machine, to: str = "") -> NodeResult:
    """A rollback of a node, to before its newest change or to before a run."""
    return on(machine, lambda conversation, whom, jobs: rollback_host(to, conversation, whom, jobs), JOBS)


def shown_snapshot(number: int, *lines: str, run: str = "") -> list[str]:
    """A snapshot as the node shows it."""
    folder = f"{STORE}/{number:06}.r{number}"
    about = (f"run {run or f'r{number}'}", "verb apply", "by anna@laptop")
    return [f"s{folder}/snapshot:{line}" for line in (*about, *lines, "as admin")]


def read_snapshots(*shown: list[str]) -> tuple[Snapshot, ...]:
    """Snapshots, as the node shows them, read."""
    return parse_snapshots(facts(history=[line for lines in shown for line in lines]))


class DictChannel:
    """A Channel to a build.Node: it reads requests as the script does, and answers. Logged in as root."""

    user = "root"
    seconds_left = 60.0
    unsafe = False

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

    def keep_alive(self, waited: float) -> None:
        """Do nothing: no keepalives come."""

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """From what was answered."""
        for end in ends:
            before, found, after = self._said.partition(end)
            if found:
                self._said = after
                return before, end
        raise AssertionError("asked for more than was said")


def apply(far: Node, jobs: StepContext) -> tuple[NodeResult, DictChannel]:
    """Apply on a node that is a few dicts, and the channel to it."""
    channel = DictChannel(far)
    return steps.apply_host(Conversation(channel), host(), jobs), channel


@dataclass
class ScriptedChannel:
    """A Channel that says what it was told to say; `MARK` in it is the conversation's. An exception is raised."""

    says: list[str | bytes | Exception]
    user: str = "admin"
    seconds_left: float = 60.0
    unsafe: bool = False
    sent: list[bytes] = field(default_factory=list)
    mark: str = ""

    def start(self, command: str, data: bytes) -> None:
        """Keeps the mark."""
        self.mark = command.rsplit(" ", 1)[1]
        self.send(data)

    def send(self, data: bytes) -> None:
        """Keeps what was sent."""
        self.sent.append(data)

    def keep_alive(self, waited: float) -> None:
        """Do nothing: no keepalives come."""

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
ENDED = "the node's shell ended with status 1: "
