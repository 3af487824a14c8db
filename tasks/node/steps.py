"""The steps of one host: probe, plan, change, probe again. The order is here, the judgement in the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tasks.core.boot.simulation import NextBoot
from tasks.core.errors import RemoteError
from tasks.core.facts import Facts
from tasks.core.host import Host
from tasks.core.kernel import providing_module
from tasks.core.kubeadm.checks import check_node, probe_instructions
from tasks.core.kubeadm.identity import read_identity
from tasks.core.kubeadm.ignores import ignored_of_host
from tasks.core.kubeadm.leftovers import JOINED
from tasks.core.memo import memoized
from tasks.core.plan import fix as fixing
from tasks.core.plan.desired import resolve
from tasks.core.plan.diff import NOT_READABLE, diff
from tasks.core.plan.persistence import conflicting_lines, planned_files
from tasks.core.plan.spelling import suggest_names
from tasks.core.profile.entries import are_compatible, format_entry
from tasks.core.profile.profile import RenderedProfile, check_together
from tasks.core.profile.variables import SAMPLE
from tasks.core.protocol import instructions as protocol
from tasks.core.result import ItemStatus, NodeResult, Status, worst_status
from tasks.core.sanitize import sanitize
from tasks.core.undo import consent, stale
from tasks.core.undo.snapshot import PriorState, Snapshot, parse_snapshots, prior_state
from tasks.core.undo.stale import Stale
from tasks.node import orders
from tasks.node.context import StepContext
from tasks.node.converge import Convergence, Observation, change_instructions, converge
from tasks.node.conversation import Conversation
from tasks.node.results import make_result, with_boot_notes


def probe_host(
    conversation: Conversation, host: Host, context: StepContext, more: Sequence[str] = ()
) -> tuple[list[RenderedProfile], Facts]:
    """Probe a node; return its profiles rendered with its own facts, and the facts. more: further instructions."""
    sample = context.render(host, dict(SAMPLE))
    first = host_probe(sample, more)
    facts = conversation.ask(first)
    rendered = context.render(host, facts.for_templates())
    second = host_probe(rendered, more)
    if set(second) - set(first):  # a template that names other keys for these facts
        facts = conversation.ask(second)
    check_together(rendered)
    return rendered, facts


def render_host(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Render the files of a host as they would be uploaded. Nothing is compared."""
    files = resolve(*probe_host(conversation, host, context)).files
    texts = tuple((file.path, "".join(f"{line}\n" for line in file.lines)) for file in files)
    return NodeResult(host.name, Status.OK, files=texts)


@dataclass(frozen=True, slots=True)
class Cleanup:
    """The changes of an apply besides the profiles: lines of other owners, and stale entries of our files."""

    comment_out: bool = False
    stale: Stale = field(default_factory=Stale)
    prior_state: PriorState = field(default_factory=PriorState)


def observe(rendered: Sequence[RenderedProfile], cleanup: Cleanup, facts: Facts) -> Observation:
    """Plan for facts, and simulate the next boot with the rendered files in place and the stale ones removed."""
    desired = resolve(rendered, facts)
    boot = NextBoot(facts, planned_files(desired.files, facts, cleanup.stale.files))
    plan = stale.with_removals(diff(desired, facts, boot), cleanup.stale, cleanup.prior_state, facts)
    return Observation(
        facts,
        plan._replace(comment_out=conflicting_lines(desired, boot)) if cleanup.comment_out and boot.simulated else plan,
    )


def host_probe(rendered: Sequence[RenderedProfile], more: Sequence[str] = ()) -> list[str]:
    """Return the instructions that probe everything that rendered profiles name."""
    return list(_host_probe(tuple(rendered), tuple(more)))


@memoized(maxsize=64)  # equal nodes get the same probe, twice each
def _host_probe(rendered: tuple[RenderedProfile, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    keys = [entry.key for each in rendered for entry in each.sysctl_entries()]
    modules = [name for each in rendered for entry in each.module_entries() for name in entry.candidates]
    owners = [owner for key in keys if (owner := providing_module(key))]
    return tuple(orders.probe(keys, [*modules, *owners], more))


def plan_host(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Compare every item as it is now, and report what the next boot would undo in spite of our files."""
    rendered, facts = probe_host(conversation, host, context)
    desired = resolve(rendered, facts)
    gone = stale.find_stale(desired, facts, context.only)
    boot = NextBoot(facts, planned_files(desired.files, facts, gone.files))
    items = (*diff(desired, facts, boot).items, *stale.stale_items(gone, to_do=True))
    done = with_boot_notes(make_result(host, items, Status.DRIFT), boot)
    if gone:
        facts = conversation.ask([*consent.find_users(gone, JOINED), protocol.SCAN])
    refused = _missing_consent(host, replace(context, confirmed=False), gone, facts, ())
    notes = [f"apply will refuse this: {sanitize(problem)}: {step}" for problem, step in refused]
    return replace(done, notes=(*done.notes, *_unjudged(done), *notes))


def _missing_consent(
    host: Host, context: StepContext, gone: Stale, facts: Facts, snapshots: Sequence[Snapshot]
) -> list[tuple[str, str]]:
    """Return problem and step for all that the run would take back and the admin has not agreed to."""
    chosen = [profile.name for profile in context.profiles[host.name]]
    taken = [] if context.replace_profiles else consent.profiles_taken_back(gone, chosen)
    use = "" if context.confirmed else consent.describe_use(gone, facts, JOINED)
    return [
        *([consent.refuse_profiles(taken, chosen, snapshots)] if taken else []),
        *([consent.refuse_use(gone, use)] if use else []),
    ]


def verify_host(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Compare every item now and after the next boot with the node's own files; run kubeadm's checks."""
    more = () if context.only else probe_instructions()
    rendered, facts = probe_host(conversation, host, context, more)
    if context.as_root and facts.uid != 0:
        facts = conversation.change(host_probe(rendered, more), host, facts, context)
    boot, desired = NextBoot(facts, facts.files), resolve(rendered, facts)
    own = ignored_of_host(host)
    names = context.ignored | own if own else context.ignored  # the same object for all nodes: each result keeps it
    checked = () if context.only else check_node(host, facts, desired, names)
    gone = stale.stale_items(stale.find_stale(desired, facts, context.only), to_do=False)
    done = make_result(host, (*diff(desired, facts, boot).items, *gone, *checked), Status.DRIFT)
    identity = None if context.only else read_identity(facts, conversation.window, names)
    done = with_boot_notes(done, boot)
    return replace(done, notes=(*done.notes, *_unjudged(done)), identity=identity)


def _unjudged(done: NodeResult) -> list[str]:
    """Return a note for the keys that are hidden from the login user, or nothing."""
    count = sum(item.got == NOT_READABLE and item.status is ItemStatus.SKIPPED for item in done.items)
    if not count:
        return []
    keys, them = ("1 key", "it") if count == 1 else (f"{count} keys", "them")
    return [f"{keys} not judged: only root reads {them}; fab -H {done.host} verify --sudo"]


def apply_host(conversation: Conversation, host: Host, context: StepContext) -> NodeResult:
    """Apply the profiles of a host; the result is what a second probe shows."""
    rendered, facts = probe_host(conversation, host, context)
    gone = stale.find_stale(resolve(rendered, facts), facts, context.only)
    probe, past = host_probe(rendered, protocol.extra_probe(gone.keys, gone.modules)), PriorState()
    if gone:
        users = consent.find_users(gone, JOINED)
        facts = conversation.change([protocol.read_history(), *users, *probe], host, facts, context)
        snapshots = parse_snapshots(facts)
        for problem, step in _missing_consent(host, context, gone, facts, snapshots):
            raise RemoteError(problem, step)
        past = prior_state(snapshots)
    observed = partial(observe, rendered, Cleanup(context.comment_out_conflicts, gone, past))
    observation = observed(facts)
    if needs_root_to_see(observation):
        observation = observed(conversation.change(probe, host, facts, context))
    goal = Convergence(observed, partial(change_instructions, host, context, probe))
    return converge(conversation, host, context, observation, goal)


def needs_root_to_see(observation: Observation) -> bool:
    """Return whether a key is readable by root only: its change and the outcome are not visible to others."""
    return observation.facts.uid != 0 and any(item.got == NOT_READABLE for item in observation.plan.items)


def fix_host(
    rendered: RenderedProfile, persist: bool, conversation: Conversation, host: Host, context: StepContext
) -> NodeResult:
    """Repair one key or module; if persist, keep it for the next boot once the kernel has taken it."""

    def observed(facts: Facts) -> Observation:
        running = Observation(facts, diff(fixing.fix_desired(rendered, facts, persist=False), facts))
        if not persist or worst_status(running.plan.items, Status.FAILED) is Status.FAILED:
            return running
        kept = fixing.fix_desired(rendered, facts, persist=True)
        return Observation(facts, diff(kept, facts, NextBoot(facts, planned_files(kept.files, facts))))

    lines = host_probe([rendered])
    goal = Convergence(observed, partial(change_instructions, host, context, lines))
    seen = observed(conversation.ask(lines))
    if needs_root_to_see(seen):
        seen = observed(conversation.change(lines, host, seen.facts, context))
    done = converge(conversation, host, context, seen, goal)
    profiles = context.render(host, dict(SAMPLE))
    items = suggest_names(done.items, profiles)
    return replace(done, items=items, notes=(*done.notes, *_contradictions(rendered, profiles)))


def _contradictions(rendered: RenderedProfile, profiles: Sequence[RenderedProfile]) -> list[str]:
    """Return a note if a profile of the host contradicts the repair: verify will report it as drift."""
    wanted = {entry.key: entry for each in profiles for entry in each.sysctl_entries()}
    pairs = [(mine, wanted[mine.key]) for mine in rendered.sysctl_entries() if mine.key in wanted]
    return [
        f"verify will report this as drift: the profile wants {format_entry(theirs)}"
        for mine, theirs in pairs
        if not are_compatible(mine, theirs)
    ]
