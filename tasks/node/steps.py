"""One host's conversation: look, decide, change, look again. Knows the order; the core knows what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from tasks.core.boot.simulation import NextBoot
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.kernel import providing_module
from tasks.core.kubeadm.checks import check_node, probe_instructions
from tasks.core.kubeadm.identity import read_identity
from tasks.core.kubeadm.ignores import ignored_of_host
from tasks.core.plan import fix as fixing
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import NOT_READABLE, diff
from tasks.core.plan.persistence import conflicting_lines, planned_files
from tasks.core.profile.entries import are_compatible, format_entry
from tasks.core.profile.profile import RenderedProfile, check_together
from tasks.core.profile.variables import SAMPLE
from tasks.core.protocol import instructions as protocol
from tasks.core.protocol.lock import STORE
from tasks.core.result import NodeResult, Status, worst_status
from tasks.core.undo import stale
from tasks.core.undo.snapshot import PriorState, parse_snapshots, prior_state
from tasks.core.undo.stale import Stale
from tasks.node import orders
from tasks.node.context import StepContext
from tasks.node.converge import Convergence, Observation, change_instructions, converge
from tasks.node.conversation import Conversation
from tasks.node.results import make_result, with_boot_notes


def probe_host(
    conversation: Conversation, host: Host, context: StepContext, more: Sequence[str] = ()
) -> tuple[list[RenderedProfile], Facts]:
    """Probes a node: what is wanted of it, rendered with its own facts, and the facts. more: further instructions."""
    sample = context.render(host, dict(SAMPLE))
    first = host_probe(sample, more)
    facts = conversation.ask(first)
    rendered = context.render(host, facts.for_templates())
    second = host_probe(rendered, more)
    if set(second) - set(first):  # a template whose facts change which names it holds
        facts = conversation.ask(second)
    check_together(rendered)
    return rendered, facts


def render_host(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Return the files as they would be uploaded to a host. Nothing is compared."""
    files = resolve(*probe_host(conversation, host, context)).files
    texts = tuple((file.path, "".join(f"{line}\n" for line in file.lines)) for file in files)
    return NodeResult(host.name, Status.OK, files=texts)


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What an apply does besides making rendered profiles true: other people's lines, and what is stale of ours."""

    comment_out: bool = False
    gone: Stale = field(default_factory=Stale)
    prior_state: PriorState = field(default_factory=PriorState)


def observe(rendered: Sequence[RenderedProfile], besides: Cleanup, facts: Facts) -> Observation:
    """Facts against rendered profiles, and the next boot once the rendered files are there and stale ones are not."""
    desired = resolve(rendered, facts)
    boot = NextBoot(facts, planned_files(desired.files, facts, besides.gone.files))
    plan = stale.with_removals(diff(desired, facts, boot), besides.gone, besides.prior_state, facts)
    return Observation(
        facts,
        plan._replace(comment_out=conflicting_lines(desired, boot)) if besides.comment_out and boot.simulated else plan,
    )


def host_probe(rendered: Sequence[RenderedProfile], more: Sequence[str] = ()) -> list[str]:
    """The probe's instructions for everything that rendered profiles name."""
    return list(_host_probe(tuple(rendered), tuple(more)))


@lru_cache(maxsize=64)  # equal nodes are asked the same, two times each
def _host_probe(rendered: tuple[RenderedProfile, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    keys = [wish.key for each in rendered for wish in each.sysctl_entries()]
    modules = [name for each in rendered for wish in each.module_entries() for name in wish.candidates]
    owners = [owner for key in keys if (owner := providing_module(key))]
    return tuple(orders.probe(keys, [*modules, *owners], more))


def plan_host(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Every item as it is now, and what would be wrong after the next boot in spite of our files."""
    rendered, facts = probe_host(conversation, host, context)
    desired = resolve(rendered, facts)
    gone = stale.find_stale(desired, facts, context.only)
    boot = NextBoot(facts, planned_files(desired.files, facts, gone.files))
    items = (*diff(desired, facts, boot).items, *stale.stale_items(gone, to_do=True))
    return with_boot_notes(make_result(host, items, Status.DRIFT), boot)


def verify_host(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Every item as it is now, and as the node's own files will make it at the next boot; and what kubeadm checks."""
    rendered, facts = probe_host(conversation, host, context, () if context.only else probe_instructions())
    boot, desired = NextBoot(facts, facts.files), resolve(rendered, facts)
    own = ignored_of_host(host)
    names = context.ignored | own if own else context.ignored  # one for all nodes: it is kept with each
    checked = () if context.only else check_node(host, facts, desired, names)
    gone = stale.stale_items(stale.find_stale(desired, facts, context.only), to_do=False)
    done = make_result(host, (*diff(desired, facts, boot).items, *gone, *checked), Status.DRIFT)
    identity = None if context.only else read_identity(facts, conversation.window, names)
    return replace(with_boot_notes(done, boot), identity=identity)


def apply_host(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Makes the node right, and says so only after a second look."""
    rendered, facts = probe_host(conversation, host, context)
    gone = stale.find_stale(resolve(rendered, facts), facts, context.only)
    probe, past = host_probe(rendered, protocol.extra_probe(gone.keys, gone.modules)), PriorState()
    if gone:
        facts = conversation.change([f"history {STORE}", *probe], host, facts, context)
        past = prior_state(parse_snapshots(facts))
    decide = partial(observe, rendered, Cleanup(context.comment_out_conflicts, gone, past))
    seen = decide(facts)
    if needs_root_to_see(seen):
        seen = decide(conversation.change(probe, host, facts, context))
    return converge(
        conversation, host, context, seen, Convergence(decide, partial(change_instructions, host, context, probe))
    )


def needs_root_to_see(seen: Observation) -> bool:
    """Whether only root sees enough of the node to say what has to change, and later what has changed."""
    return seen.facts.uid != 0 and any(item.got == NOT_READABLE for item in seen.plan.items)


def fix_host(
    rendered: RenderedProfile, persist: bool, conversation: Conversation, host: Host, context: StepContext
) -> NodeResult:
    """Puts one key or module right; if persist, keeps it for the next boot once the kernel has taken it."""

    def repair(facts: Facts) -> Observation:
        running = Observation(facts, diff(fixing.fix_desired(rendered, facts, persist=False), facts))
        if not persist or worst_status(running.plan.items, Status.FAILED) is Status.FAILED:
            return running
        kept = fixing.fix_desired(rendered, facts, persist=True)
        return Observation(facts, diff(kept, facts, NextBoot(facts, planned_files(kept.files, facts))))

    lines = host_probe([rendered])
    goal = Convergence(repair, partial(change_instructions, host, context, lines))
    done = converge(conversation, host, context, repair(conversation.ask(lines)), goal)
    return replace(done, notes=(*done.notes, *_contradictions(rendered, host, context)))


def _contradictions(rendered: RenderedProfile, host: Host, context: StepContext) -> list[str]:
    """A repair that a profile of the host does not want will be called drift: say so now."""
    wanted = {wish.key: wish for each in context.render(host, dict(SAMPLE)) for wish in each.sysctl_entries()}
    pairs = [(mine, wanted[mine.key]) for mine in rendered.sysctl_entries() if mine.key in wanted]
    return [
        f"verify will call this drift: the profile wants {format_entry(theirs)}"
        for mine, theirs in pairs
        if not are_compatible(mine, theirs)
    ]
