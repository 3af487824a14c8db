"""The summary a person reads: one table, worst first, equal nodes folded; under it each problem and its next step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import islice

from tasks.console.output import Screen
from tasks.console.styles import STYLES
from tasks.console.table import counted_kinds, table_rows
from tasks.core.folding import fold as fold_names
from tasks.core.result import Item, ItemStatus, Kind, RunSummary, Status
from tasks.core.run.report import Group, advisories, group_results, is_plan, problems, status_counts

MAX_GROUPS = 20  # a screen of groups of equal nodes, and as many notes; the report has the rest
MAX_NAMES_LENGTH = 240  # characters for the names of one group
MAX_PROBLEMS = 12  # problems of one group; plan shows all, it is what plan is for
HEADINGS = {Kind.MODULE: "MODULES", Kind.SYSCTL: "KEYS", Kind.FILE: "FILES", Kind.CHECK: "CHECKS"}
NextCommand = Callable[[str, Iterable[str]], str]


def show_summary(summary: RunSummary, screen: Screen, *, again: str = "", going_on: NextCommand) -> None:
    """Prints a whole run.

    again: the command that does again what was not done, if something was not. going_on: the one that goes on with a
    verb on some nodes; empty if it would be too long to read.
    """
    groups = group_results(summary.results)
    shown, rest = groups[:MAX_GROUPS], groups[MAX_GROUPS:]
    _table(shown, summary.verb, screen)
    if rest:
        nodes = sum(len(group.hosts) for group in rest)
        screen.line(f"… and {len(rest)} more groups of {nodes} nodes: --report FILE has them all")
    for group in shown:
        _problems(group, summary.verb, screen, going_on)
    _notes(summary, screen)
    _totals(summary, screen)
    if again:
        screen.line(f"again, only what is left: {again}", "cyan")


def _table(groups: list[Group], verb: str, screen: Screen) -> None:
    headings = ("NODES", "STATUS", *(HEADINGS[kind] for kind in counted_kinds(verb)), "TIME")
    screen.table([headings, *table_rows(groups, _names, verb)], [STYLES[group.result.status] for group in groups])


def _names(hosts: Iterable[str]) -> str:
    """The names folded; of many that do not fold, the first ones and how many there are."""
    names = tuple(hosts)
    text = fold_names(names)
    if len(text) <= MAX_NAMES_LENGTH:
        return text
    return f"{text[:MAX_NAMES_LENGTH].rpartition(',')[0] or text[:MAX_NAMES_LENGTH]},… ({len(names)} nodes)"


def _problems(group: Group, verb: str, screen: Screen, going_on: NextCommand) -> None:
    result, items, hints = group.result, problems(group.result), advisories(group.result)
    if not items and not hints and not result.problem:
        return
    screen.line()
    screen.line(_names(group.hosts), "bold")

    named = cache(partial(_named, group.hosts, going_on))  # most steps of thousands of hosts have the same command

    def pasted(step: str) -> str:
        """A step whose command names the nodes, and goes there as this run did."""
        return _COMMAND.sub(lambda found: named(found[1]) or found[0], step)

    if result.problem:
        _print_problem(result.problem, pasted(result.next_step), screen)
    alike = _grouped_by_reason(items)
    shown = alike if is_plan(verb) else alike[:MAX_PROBLEMS]
    width = max((len(same[0].name) for same in shown if len(same) == 1), default=0)
    for same in shown:
        _print_problem(_sentence(same, width), pasted(_next_step(same[0])), screen)
    if len(shown) < len(alike):
        _print_problem(f"… and {sum(map(len, alike[MAX_PROBLEMS:]))} more: --format json has them all", "", screen)
    if verb == "verify" and _apply_helps(items):
        _print_problem("", going_on("apply", group.hosts) or "apply with the same -H and flags", screen)
    for hint in hints:
        _print_problem(_sentence([hint], 0), pasted(hint.next_step), screen)


_COMMAND = re.compile(r"fab -H NODE (\w+)")  # as the core says it, which knows neither the nodes' names nor the flags


def _named(hosts: Sequence[str], going_on: NextCommand, verb: str) -> str:
    command = going_on(verb, hosts)
    return f"{command} --yes" if command and verb == "fix" and len(hosts) > 1 else command


def _print_problem(text: str, step: str, screen: Screen) -> None:
    if text:
        screen.sentence(text, 2)
    if step:
        screen.line(f"    → {step}", "cyan")


def _grouped_by_reason(items: list[Item]) -> list[list[Item]]:
    """Items with the same reason, in the order of the first: one masked unit is one problem, not eight."""
    found: dict[object, list[Item]] = {}
    for number, item in enumerate(items):
        reason = (item.kind, item.status, item.got, item.why, item.next_step)
        found.setdefault(reason if item.status is ItemStatus.BOOT_DRIFT else number, []).append(item)
    return list(found.values())


def _sentence(same: list[Item], width: int) -> str:
    """`module  ip_vs  expected loaded, got not loaded (why)`."""
    item = same[0]
    if len(same) > 1:
        names = ", ".join(each.name for each in same)
        return f"{item.kind:<6}  {names}: {item.status}: {item.found} ({item.why})"
    marks = {ItemStatus.DRIFT: "", ItemStatus.MISSING: "missing: "}
    what = marks.get(item.status, f"{item.status}: ")
    why = f" ({item.why})" if item.why else ""
    return f"{item.kind:<6}  {item.name:<{width}}  {what}expected {item.expected or 'empty'}, got {item.found}{why}"


def _next_step(item: Item) -> str:
    """A step is worth a line where the general remedy does not help."""
    return item.next_step if item.status is not ItemStatus.DRIFT or item.kind is Kind.CHECK else ""


def _apply_helps(items: list[Item]) -> bool:
    """Whether it puts most of it right; checks are the admin's own to mend, each with a step of its own."""
    return any(item.status is ItemStatus.DRIFT and item.kind is not Kind.CHECK for item in items)


def _notes(summary: RunSummary, screen: Screen) -> None:
    """Each note once, with the nodes it is about."""
    about: dict[str, list[str]] = {}
    for result in summary.results:
        for note in result.notes:
            about.setdefault(note, []).append(result.host)
    for note, hosts in islice(about.items(), MAX_GROUPS):
        screen.line(f"\nnote: {_names(hosts)}: {note}", "dim")
    if len(about) > MAX_GROUPS:
        screen.line(f"\n… and {len(about) - MAX_GROUPS} more notes: --report FILE has them all", "dim")


def _totals(summary: RunSummary, screen: Screen) -> None:
    """`3 nodes in 2.1 s: 1 unreachable, 2 ok`, and what plan or an interruption means."""
    counts = status_counts(summary.results)
    words = {Status.DRIFT: "to change"} if is_plan(summary.verb) else {}
    parts = ", ".join(f"{count} {words.get(status, status)}" for status, count in counts.items())
    nodes = f"{len(summary.results)} node{'s' if len(summary.results) != 1 else ''}"
    style = STYLES[next(iter(counts))] if counts else ""
    tail = " (nothing was written)" if is_plan(summary.verb) else ""
    end = " — interrupted" if summary.interrupted else ""
    screen.line(f"\n{summary.verb}: {nodes} in {summary.seconds:.1f} s: {parts}{tail}{end}", style)
