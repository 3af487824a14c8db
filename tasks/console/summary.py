"""The summary for people: one table, worst first, equal nodes in one row; below it each problem and its next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import islice

from tasks.console.output import Screen, truncate
from tasks.console.table import counted_kinds, table_rows
from tasks.core.folding import fold
from tasks.core.result import Item, ItemStatus, Kind, RunSummary, Status
from tasks.core.run.report import Group, advisories, group_results, problems, status_counts, would_fail
from tasks.core.verb import Verb

MAX_GROUPS = 20  # a screen of groups of equal nodes, and as many notes; the report has the rest
MAX_NAMES_LENGTH = 240  # characters for the names of one group
MAX_TEXT_LENGTH = 2000  # characters of a problem, of a next step, or of a note: a node controls their length
MAX_PROBLEMS = 12  # problems of one group; plan shows all
HEADINGS = {Kind.MODULE: "MODULES", Kind.SYSCTL: "KEYS", Kind.FILE: "FILES", Kind.CHECK: "CHECKS"}
STYLES = {
    Status.OK: "green",
    Status.CHANGED: "yellow",
    Status.SKIPPED: "dim",
    Status.DRIFT: "magenta",
    Status.FAILED: "bold red",
    Status.UNREACHABLE: "bold red",
}
NextCommand = Callable[[str, Iterable[str], str], str]


def show_summary(summary: RunSummary, screen: Screen, *, retry: str = "", next_command: NextCommand) -> None:
    """Print a whole run.

    retry: the command that does again what was not done; empty if all was. next_command: the name of a verb, some nodes
    and another user, or an empty text, to the command that goes on with it there; empty if it is too long to read.
    """
    groups = group_results(summary.results)
    shown, rest = groups[:MAX_GROUPS], groups[MAX_GROUPS:]
    _print_table(shown, summary.verb, screen)
    if rest:
        nodes = sum(len(group.hosts) for group in rest)
        screen.line(f"… and {len(rest)} more groups of {nodes} nodes: --report FILE has them all")
    for group in shown:
        _print_group(group, summary.verb, screen, next_command)
    _print_notes(summary, screen)
    _print_totals(summary, groups, screen)
    if retry:
        screen.line(f"again, only what is left: {retry}", "cyan")


def _print_table(groups: list[Group], verb: Verb, screen: Screen) -> None:
    headings = ("NODES", "STATUS", *(HEADINGS[kind] for kind in counted_kinds(verb)), "TIME")
    rows = table_rows(groups, _format_names, verb)
    screen.table([headings, *rows], [STYLES[group.result.status] for group in groups])


def _format_names(hosts: Iterable[str]) -> str:
    """Fold the names; if they do not fold to MAX_NAMES_LENGTH, return the first ones and the number of all."""
    names = tuple(hosts)
    text = fold(names)
    if len(text) <= MAX_NAMES_LENGTH:
        return text
    return f"{text[:MAX_NAMES_LENGTH].rpartition(',')[0] or text[:MAX_NAMES_LENGTH]},… ({len(names)} nodes)"


def _print_group(group: Group, verb: Verb, screen: Screen, next_command: NextCommand) -> None:
    """Print the problems and the advisories of equal nodes, each with its next step."""
    result, items, hints = group.result, problems(group.result), advisories(group.result)
    if not items and not hints and not result.problem:
        return
    screen.line()
    screen.line(_format_names(group.hosts), "bold")

    @cache  # most steps of thousands of hosts have the same command
    def command(name: str, user: str = "") -> str:
        return next_command(name, group.hosts, user)

    def complete(step: str) -> str:
        return _COMMAND.sub(lambda found: command(found[2], found[1] or "") or found[0], step)

    if result.problem:
        _print_problem(result.problem, complete(result.next_step), screen)
    _print_items(items, verb, complete, screen)
    if verb.is_gate and _apply_helps(items):
        _print_problem("", command("apply") or "apply with the same -H and flags", screen)
    for hint in hints:
        _print_problem(_format_items([hint], 0), complete(hint.next_step), screen)


# A command as the core writes it, which knows neither the nodes' names nor the flags.
_COMMAND = re.compile(r"fab -H (?:(\w+)@)?NODE (\w+)")


def _print_items(items: list[Item], verb: Verb, complete: Callable[[str], str], screen: Screen) -> None:
    """Print the items by their reason. complete: a next step to one with the nodes' names and the flags."""
    reasons = _group_by_reason(items)
    shown = reasons if verb.is_preview else reasons[:MAX_PROBLEMS]
    width = max((len(same[0].name) for same in shown if len(same) == 1), default=0)
    for same in shown:
        _print_problem(_format_items(same, width), complete(_own_step(same[0])), screen)
    if len(shown) < len(reasons):
        more = sum(map(len, reasons[MAX_PROBLEMS:]))
        _print_problem(f"… and {more} more: --format json has them all", "", screen)


def _print_problem(text: str, step: str, screen: Screen) -> None:
    """Print a problem and its next step. A step that is too long is not cut: half a command might be pasted."""
    if text:
        screen.sentence(truncate(text, MAX_TEXT_LENGTH), 2)
    if step:
        too_long = "the next step is too long to show: --format json has it"
        screen.line(f"    → {step if len(step) <= MAX_TEXT_LENGTH else too_long}", "cyan")


def _group_by_reason(items: list[Item]) -> list[list[Item]]:
    """Group items with the same reason, in the order of the first: one masked unit is one problem, not eight."""
    found: dict[object, list[Item]] = {}
    for number, item in enumerate(items):
        reason = (item.kind, item.status, item.got, item.why, item.next_step)
        found.setdefault(reason if item.status is ItemStatus.BOOT_DRIFT else number, []).append(item)
    return list(found.values())


def _format_items(same: list[Item], width: int) -> str:
    """Return items with the same reason as one line: `module  ip_vs  expected loaded, got not loaded (why)`."""
    item = same[0]
    if len(same) > 1:
        names = ", ".join(each.name for each in same)
        return f"{item.kind:<6}  {names}: {item.status}: {item.found} ({item.why})"
    marks = {ItemStatus.DRIFT: "", ItemStatus.MISSING: "missing: "}
    mark = marks.get(item.status, f"{item.status}: ")
    why = f" ({item.why})" if item.why else ""
    return f"{item.kind:<6}  {item.name:<{width}}  {mark}expected {item.expected or 'empty'}, got {item.found}{why}"


def _own_step(item: Item) -> str:
    """Return an item's next step, empty for drift that apply mends: the group has one step for all of that."""
    return item.next_step if item.status is not ItemStatus.DRIFT or item.kind is Kind.CHECK else ""


def _apply_helps(items: list[Item]) -> bool:
    """Return whether apply mends any of the items; checks are the admin's to mend, each with a step of its own."""
    return any(item.status is ItemStatus.DRIFT and item.kind is not Kind.CHECK for item in items)


def _print_notes(summary: RunSummary, screen: Screen) -> None:
    """Print each note once, with its nodes."""
    hosts_by_note: dict[str, list[str]] = {}
    for result in summary.results:
        for note in result.notes:
            hosts_by_note.setdefault(note, []).append(result.host)
    for note, hosts in islice(hosts_by_note.items(), MAX_GROUPS):
        screen.line(f"\nnote: {_format_names(hosts)}: {truncate(note, MAX_TEXT_LENGTH)}", "dim")
    if len(hosts_by_note) > MAX_GROUPS:
        screen.line(f"\n… and {len(hosts_by_note) - MAX_GROUPS} more notes: --report FILE has them all", "dim")


def _print_totals(summary: RunSummary, groups: list[Group], screen: Screen) -> None:
    """Print `3 nodes in 2.1 s: 1 unreachable, 2 ok`, and that a preview wrote nothing, or that it was interrupted."""
    counts, is_preview = status_counts(summary.results), summary.verb.is_preview
    words = _preview_counts(counts, groups) if is_preview else {str(status): count for status, count in counts.items()}
    parts = ", ".join(f"{count} {word}" for word, count in words.items() if count)
    nodes = f"{len(summary.results)} node{'s' if len(summary.results) != 1 else ''}"
    style = STYLES[next(iter(counts))] if counts else ""
    tail = " (nothing was written)" if is_preview else ""
    end = " — interrupted" if summary.interrupted else ""
    screen.line(f"\n{summary.verb}: {nodes} in {summary.seconds:.1f} s: {parts}{tail}{end}", style)


def _preview_counts(counts: Mapping[Status, int], groups: list[Group]) -> dict[str, int]:
    """Count the nodes of a preview: those with differences as `to change`, or as `would fail` where apply would."""
    drifting = [group for group in groups if group.result.status is Status.DRIFT]
    failing = sum(len(group.hosts) for group in drifting if would_fail(group.result))
    words: dict[str, int] = {}
    for status, count in counts.items():
        if status is Status.DRIFT:
            words |= {"would fail": failing, "to change": count - failing}
        else:
            words[str(status)] = count
    return words
