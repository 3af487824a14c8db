"""One host's conversation: look, decide, change, look again. Knows the order; the core knows what is right."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

from tasks.core import facts as facts_of
from tasks.core import fix as fixes
from tasks.core import instructions, join, stale
from tasks.core.boot import Boot
from tasks.core.desired import resolve
from tasks.core.errors import (
    ChangeRefusedError,
    NodeError,
    ProfileError,
    RemoteError,
    ShellEndedError,
    UnreachableError,
)
from tasks.core.facts import SAMPLE, Facts
from tasks.core.inventory import template_variables
from tasks.core.keys import owner_of
from tasks.core.model import Host, Item, ItemStatus, Kind, NodeResult, Secret, Status
from tasks.core.persistence import comes_back, planned, rivals
from tasks.core.plan import NOT_READABLE, Plan, diff, settled, status_of
from tasks.core.profile import Profile, Wishes, check_together, compatible, digest, render, text
from tasks.core.snapshot import STORE, Past, Stamp, before, refusal, snapshots
from tasks.core.stale import Stale
from tasks.core.text import UNSAFE, printable
from tasks.remote import script
from tasks.remote.stamp import new_stamp
from tasks.remote.sudo import PasswordGate, PasswordGates, passwordless

PASSES = 2  # a key that a module brings may want to be set, and the file rendered once more


class Channel(Protocol):
    """What a conversation needs of a session."""

    @property
    def user(self) -> str:
        """Who is logged in."""

    @property
    def seconds_left(self) -> float:
        """Until the host's deadline."""

    def start(self, command: str, data: bytes) -> None:
        """Runs a command with the beginning of its stdin."""

    def send(self, data: bytes) -> None:
        """Sends more stdin."""

    def receive(self, *ends: bytes) -> tuple[bytes, bytes]:
        """Output up to one of `ends`, and which."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done, by whom: each host's profiles by its name, which half of them, the sudo password if any.

    force_unlock: change a node even if someone else is at it. ignored: checks that verify
    leaves out, see preflight.
    """

    profiles: Mapping[str, tuple[Profile, ...]]
    stamp: Stamp = field(default_factory=new_stamp)
    only: str = ""
    take_over: bool = False
    force_unlock: bool = False
    ignored: frozenset[str] = frozenset()
    password: Secret | None = None
    gates: PasswordGates = field(default_factory=PasswordGates)

    def wishes(self, host: Host, facts: dict[str, object]) -> list[Wishes]:
        """The profiles rendered for one host."""
        rendered = [
            render(profile, {**template_variables(host), "facts": facts}) for profile in self.profiles[host.name]
        ]
        return [only_part(wishes, self.only) for wishes in rendered]


def only_part(wishes: Wishes, only: str) -> Wishes:
    """`--only modules` or `--only sysctl`: the other half is neither looked at nor changed."""
    return Wishes(
        wishes.profile,
        wishes.modules if only != "sysctl" else None,
        wishes.sysctl if only != "modules" else None,
    )


class Conversation:
    """The requests and replies of one channel, with one random mark. had_lock: it has had the node's."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.mark = script.new_mark()
        self.started = False
        self.known: set[str] = set()  # the parts of the script that the node's shell has
        self.had_lock = False
        self.window = (0.0, 0.0)  # our monotonic seconds before the last question and after its answer

    def ask(self, lines: Sequence[str]) -> Facts:
        """Sends a request that reads, as the login user, and returns what it found."""
        data = self._request(lines)
        before = time.monotonic()
        if self.started:
            self.channel.send(f"again {len(data)}\n".encode() + data)
        else:
            self.channel.start(script.command(self.mark, len(data)), data)
        self.started = True
        facts = self._reply()
        self.window = (before, time.monotonic())
        return facts

    def change(self, lines: Sequence[str], host: Host, facts: Facts, work: Work) -> Facts:
        """Sends a request that changes, as root, and returns what it found afterwards.

        facts: of an earlier look; what the request does not ask anew (`rescan`) is taken from them.
        """
        if facts.uid != 0:
            self.known.clear()  # root's shell is another one
        data = self._request(lines, changes=True)
        password = host.become.password or work.password
        if facts.uid == 0:
            self.channel.send(f"again {len(data)}\n".encode() + data)
        elif host.become.wanted is False:
            raise RemoteError(
                f"{self.channel.user} is not root, and ansible_become is false", "allow sudo, or log in as root"
            )
        elif password is None:
            self._without_password(data)
        else:
            self._with_password(data, host, password, work.gates.of(password))
        try:
            return self._reply(facts if "rescan" in lines else None)
        except ShellEndedError as error:
            raise RemoteError(f"in the middle of a change, {error.problem}", _FINISH) from error

    def _request(self, lines: Sequence[str], *, changes: bool = False) -> bytes:
        return script.request(self.mark, lines, changes=changes, known=self.known)

    def _without_password(self, data: bytes) -> None:
        """sudo without a password, and the request with it: the root shell says that it is there before it reads."""
        try:
            self.channel.send(f"sudo {len(data)}\n".encode() + data)
            self.channel.receive(f"{self.mark} ready\n".encode())
        except ShellEndedError as error:
            if "password" in error.problem:
                raise passwordless(self.channel.user) from error
            raise RemoteError(f"sudo refused {self.channel.user}: {error.problem}", _SUDOERS) from error

    def _with_password(self, data: bytes, host: Host, password: Secret, gate: PasswordGate) -> None:
        """sudo asks on our stream, with our mark; only then the password is sent, and only once."""
        gate.enter(host.name, self.channel.seconds_left)
        accepted: bool | None = None
        prompt, ready = f"{self.mark} password".encode(), f"{self.mark} ready\n".encode()
        try:
            self.channel.send(f"password {len(data)}\n".encode())
            if self.channel.receive(prompt, ready)[1] == prompt:
                self.channel.send(f"{password}\n".encode())
                accepted = self.channel.receive(prompt, ready)[1] == ready
        except ShellEndedError as error:
            accepted = False if _INCORRECT.search(error.problem) else None  # passwd_tries=1: it does not ask again
            raise RemoteError(f"sudo refused {self.channel.user}: {error.problem}", _SUDOERS) from error
        finally:
            gate.leave(host.name, accepted)
        if accepted is False:
            raise RemoteError(f"wrong sudo password for {self.channel.user}", "nothing was changed there")
        self.channel.send(data)

    def _reply(self, known: Facts | None = None) -> Facts:
        self.channel.receive(f"{self.mark} begin\n".encode())
        try:
            body = self.channel.receive(f"{self.mark} end\n".encode())[0]
        except ShellEndedError as error:  # the last it said is a piece of its reply
            raise ShellEndedError("the node's shell ended while it replied", "run the same command again") from error
        return facts_of.parse(body.decode("utf-8", "replace").replace(self.mark, "=="), known)


_INCORRECT = re.compile("(?i)incorrect (password|authentication)")  # sudo's and sudo-rs's words
_FINISH = "run the same command again, and it finishes; or take back what was done: fab -H NODE rollback"
_SUDOERS = "see sudo -l on the node: this needs a root shell (sh) through sudo without a terminal"


class Seen(NamedTuple):
    """One look at a node: what it is, and how that differs from what it should be."""

    facts: Facts
    plan: Plan


class Goal(NamedTuple):
    """How a node differs from what it should be, and what to tell it to change that and to look again."""

    decide: Callable[[Facts], Seen]
    orders: Callable[[Seen], list[str]]


def look(talk: Conversation, host: Host, work: Work, more: Sequence[str] = ()) -> tuple[list[Wishes], Facts]:
    """Probes a node: what is wanted of it, rendered with its own facts, and the facts. more: further instructions."""
    sample = work.wishes(host, dict(SAMPLE))
    first = asked(sample, more)
    facts = talk.ask(first)
    wishes = work.wishes(host, facts.for_templates())
    second = asked(wishes, more)
    if set(second) - set(first):  # a template whose facts change which names it holds
        facts = talk.ask(second)
    check_together(wishes)
    return wishes, facts


def show(talk: Conversation, host: Host, work: Work) -> NodeResult:
    """The files as they would be uploaded to a host: items that expect a text at a path. Nothing is compared."""
    files = resolve(*look(talk, host, work)).files
    texts = {file.path: "".join(f"{line}\n" for line in file.lines) for file in files}
    items = [Item(Kind.FILE, path, ItemStatus.OK, expected=text, got="") for path, text in texts.items()]
    return NodeResult(host.name, Status.OK, tuple(items))


def texts(shown: NodeResult) -> dict[str, str]:
    """Path to text, of what show() found."""
    return {item.name: item.expected for item in shown.items}


@dataclass(frozen=True, slots=True)
class Besides:
    """What an apply does besides making rendered profiles true: other people's lines, and what is stale of ours."""

    take_over: bool = False
    gone: Stale = field(default_factory=Stale)
    past: Past = field(default_factory=Past)


def compare(wishes: Sequence[Wishes], besides: Besides, facts: Facts) -> Seen:
    """Facts against rendered profiles, and the next boot once the rendered files are there and stale ones are not."""
    desired = resolve(wishes, facts)
    boot = Boot(facts, planned(desired.files, facts, besides.gone.files))
    plan = stale.added(diff(desired, facts, boot), besides.gone, besides.past, facts)
    return Seen(facts, plan._replace(take_over=rivals(desired, boot)) if besides.take_over and boot.simulated else plan)


def asked(wishes: Sequence[Wishes], more: Sequence[str] = ()) -> list[str]:
    """The probe's instructions for everything that rendered profiles name."""
    return list(_asked(tuple(wishes), tuple(more)))


@lru_cache(maxsize=64)  # equal nodes are asked the same, two times each
def _asked(wishes: tuple[Wishes, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    keys = [wish.key for each in wishes for wish in each.key_wishes()]
    modules = [name for each in wishes for wish in each.module_wishes() for name in wish.candidates]
    owners = [owner for key in keys if (owner := owner_of(key))]
    return tuple(instructions.probe(keys, [*modules, *owners], more))


def plan(talk: Conversation, host: Host, work: Work) -> NodeResult:
    """Every item as it is now, and what would be wrong after the next boot in spite of our files."""
    wishes, facts = look(talk, host, work)
    desired = resolve(wishes, facts)
    gone = stale.find(desired, facts, work.only)
    boot = Boot(facts, planned(desired.files, facts, gone.files))
    items = (*diff(desired, facts, boot).items, *stale.told(gone, to_do=True))
    return advised(result(host, items, Status.DRIFT), boot)


def advised(done: NodeResult, boot: Boot) -> NodeResult:
    """A result with what there is to say of the next boot besides."""
    return replace(done, notes=tuple(map(printable, boot.advice())))


def verify(talk: Conversation, host: Host, work: Work) -> NodeResult:
    """Every item as it is now, and as the node's own files will make it at the next boot; and what kubeadm checks."""
    wishes, facts = look(talk, host, work, () if work.only else join.questions())
    boot, desired = Boot(facts, facts.files), resolve(wishes, facts)
    own = join.ignored(host)
    names = work.ignored | own if own else work.ignored  # one for all nodes: it is kept with each
    checks = () if work.only else join.checks(host, facts, desired, names)
    gone = stale.told(stale.find(desired, facts, work.only), to_do=False)
    done = result(host, (*diff(desired, facts, boot).items, *gone, *checks), Status.DRIFT)
    identity = None if work.only else join.identity(facts, talk.window, names)
    return replace(advised(done, boot), identity=identity)


def apply(talk: Conversation, host: Host, work: Work) -> NodeResult:
    """Makes the node right, and says so only after a second look."""
    wishes, facts = look(talk, host, work)
    gone = stale.find(resolve(wishes, facts), facts, work.only)
    probe, past = asked(wishes, instructions.besides(gone.keys, gone.modules)), Past()
    if gone:
        facts = talk.change([f"history {STORE}", *probe], host, facts, work)
        past = before(snapshots(facts))
    decide = partial(compare, wishes, Besides(work.take_over, gone, past))
    seen = decide(facts)
    if hides(seen):
        seen = decide(talk.change(probe, host, facts, work))
    return converge(talk, host, work, seen, Goal(decide, partial(recorded, host, work, probe)))


def hides(seen: Seen) -> bool:
    """Whether only root sees enough of the node to say what has to change, and later what has changed."""
    return seen.facts.uid != 0 and any(item.got == NOT_READABLE for item in seen.plan.items)


def fix(wishes: Wishes, persist: bool, talk: Conversation, host: Host, work: Work) -> NodeResult:
    """Puts one key or module right; if persist, keeps it for the next boot once the kernel has taken it."""

    def repair(facts: Facts) -> Seen:
        running = Seen(facts, diff(fixes.desired(wishes, facts, persist=False), facts))
        if not persist or status_of(running.plan.items, Status.FAILED) is Status.FAILED:
            return running
        kept = fixes.desired(wishes, facts, persist=True)
        return Seen(facts, diff(kept, facts, Boot(facts, planned(kept.files, facts))))

    lines = asked([wishes])
    goal = Goal(repair, partial(recorded, host, work, lines))
    done = converge(talk, host, work, repair(talk.ask(lines)), goal)
    return replace(done, notes=(*done.notes, *_contradictions(wishes, host, work)))


def _contradictions(wishes: Wishes, host: Host, work: Work) -> list[str]:
    """A repair that a profile of the host does not want will be called drift: say so now."""
    wanted = {wish.key: wish for each in work.wishes(host, dict(SAMPLE)) for wish in each.key_wishes()}
    pairs = [(mine, wanted[mine.key]) for mine in wishes.key_wishes() if mine.key in wanted]
    return [
        f"verify will call this drift: the profile wants {text(theirs)}"
        for mine, theirs in pairs
        if not compatible(mine, theirs)
    ]


def converge(talk: Conversation, host: Host, work: Work, first: Seen, goal: Goal) -> NodeResult:
    """Changes what differs, looks again, and reports what the second look shows."""
    looks, complaints, notes = [first], dict(first.facts.complaints), []
    tried: set[str] = set()  # only what was not asked for before is worth another pass
    while len(looks) <= PASSES and set(orders := instructions.apply(looks[-1].plan)) - tried:
        try:
            facts = write(talk, host, work, looks[-1].facts, goal.orders(looks[-1]))
        except ChangeRefusedError as error:
            if not talk.had_lock:
                raise
            notes.append(f"no second pass: {error.problem}; {error.next_step}")
            break  # what the first one did is told all the same
        tried |= set(orders)
        complaints |= facts.complaints
        looks.append(goal.decide(facts))
    done = result(host, settled([look.plan for look in looks], complaints), Status.FAILED)
    return replace(done, notes=(*_taken_over([look.plan for look in looks], complaints), *map(printable, notes)))


def write(talk: Conversation, host: Host, work: Work, facts: Facts, lines: Sequence[str]) -> Facts:
    """Instructions that change a node, under its lock, and what is there then. Raises RemoteError if we may not.

    Whoever has the lock is driven out once at most, not once more for a second pass.
    """
    first = [
        instructions.within(talk.channel.seconds_left),
        *instructions.locked(work.stamp, force=work.force_unlock and not talk.had_lock),
    ]
    found = talk.change([*first, *lines, "finish"], host, facts, work)
    if refused := refusal(found):
        raise refused
    talk.had_lock = True
    return found


def recorded(host: Host, work: Work, probe: Sequence[str], seen: Seen) -> list[str]:
    """What has to change on a host, after a snapshot of it, and the second look."""
    about = [f"profile {profile.name} {digest(profile)}" for profile in work.profiles[host.name]]
    orders = instructions.recorded(seen.plan, seen.facts, work.stamp, about)
    return [*orders, *instructions.second(probe, seen.plan, seen.facts)]


def _taken_over(plans: Sequence[Plan], complaints: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """What was done to other people's files, line by line; or why not."""
    left = set(plans[-1].take_over)
    for line in dict.fromkeys(line for plan in plans for line in plan.take_over):
        said = complaints.get(("disable", str(line)), "")
        took = f"took over {line}: {line.text.strip()}{comes_back(line)}"
        yield printable(f"{line} could not be taken over: {said}" if line in left else took)


def result(host: Host, items: Sequence[Item], bad: Status) -> NodeResult:
    """A host's result from its items."""
    return NodeResult(host.name, status_of(items, bad), tuple(map(_printable_item, items)))


@lru_cache(maxsize=1024)  # nodes have most of their items in common
def _printable_item(item: Item) -> Item:
    """An item whose texts, a node's among them, are harmless: terminal escapes of a node never reach the screen."""
    if not UNSAFE.search(f"{item.name}{item.expected}{item.got}{item.why}{item.next_step}{item.decided_by}"):
        return item
    return item._replace(
        name=printable(item.name),
        expected=printable(item.expected),
        got=None if item.got is None else printable(item.got),
        why=printable(item.why),
        next_step=printable(item.next_step),
        decided_by=printable(item.decided_by),
    )


Step = Callable[[Conversation, Host, Work], NodeResult]


def failure(host: Host, error: BaseException) -> NodeResult:
    """Any exception on a host as that host's result."""
    status = Status.UNREACHABLE if isinstance(error, UnreachableError) else Status.FAILED
    problem, step = f"{type(error).__name__}: {error}", "this is a bug in nodeprep: please report it"
    if isinstance(error, NodeError):
        problem, step = error.problem, error.next_step
    elif isinstance(error, ProfileError):
        problem, step = f"with this node's facts: {error}", "correct the template"
    return NodeResult(host.name, status, problem=printable(problem), next_step=printable(step))
