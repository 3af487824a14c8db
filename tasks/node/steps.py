"""One host's conversation: look, decide, change, look again. Knows the order; the core knows what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from tasks.core.boot.simulation import Boot
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.kernel import owner_of
from tasks.core.kubeadm import checks as join
from tasks.core.plan import fix as fixes
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import NOT_READABLE, diff
from tasks.core.plan.persistence import planned, rivals
from tasks.core.profile.entries import compatible, text
from tasks.core.profile.profile import Wishes, check_together
from tasks.core.profile.variables import SAMPLE
from tasks.core.protocol import instructions as instructions_instructions
from tasks.core.protocol.lock import STORE
from tasks.core.result import Item, ItemStatus, Kind, NodeResult, Status, status_of
from tasks.core.undo import stale
from tasks.core.undo.snapshot import Past, before, snapshots
from tasks.core.undo.stale import Stale
from tasks.node import orders as instructions
from tasks.node.converge import Goal, Seen, converge, recorded
from tasks.node.conversation import Conversation
from tasks.node.results import advised, result
from tasks.node.work import Work


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
    probe, past = asked(wishes, instructions_instructions.besides(gone.keys, gone.modules)), Past()
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
