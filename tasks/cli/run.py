"""Run one command: the fan-out, the results, the commands to type next, and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import invoke

from tasks.cli import followup
from tasks.cli.options import Options
from tasks.console import output
from tasks.console.formats import FORMATS, NextCommands
from tasks.console.json_report import format_json
from tasks.console.output import Screen
from tasks.console.progress import progress
from tasks.core.errors import UsageError
from tasks.core.folding import fold
from tasks.core.host import Host
from tasks.core.result import NodeResult, RunSummary
from tasks.core.run.batches import Rollout
from tasks.core.run.report import EXIT_FAILED, exit_code, is_unfinished, retry_can_help
from tasks.core.verb import PLAN, Verb
from tasks.fleet import engine, engines, pool
from tasks.local import files
from tasks.node import steps
from tasks.node.context import StepContext
from tasks.node.conversation import NodeStep
from tasks.ssh.route import Access

Together = Callable[[list[NodeResult]], object]


class Listing(Protocol):
    """A way to print results other than as a run."""

    def __call__(self, results: Sequence[NodeResult], screen: Screen, *, as_json: bool) -> None:
        """Print the results on a screen."""


class CommandLine(NamedTuple):
    """The command line of a run, in the words of this release. words: program first; verbs: all verbs, by name."""

    words: tuple[str, ...] = ("fab",)
    verbs: Mapping[str, Verb] = {}


@dataclass(frozen=True, slots=True)
class Run:
    """One command: the verb, its flags, the selected hosts, and the way to reach them."""

    verb: Verb
    options: Options
    hosts: tuple[Host, ...]
    context: StepContext
    access: Access
    rollout: Rollout = field(default_factory=Rollout)
    dry: bool = False
    typed: CommandLine = CommandLine()  # noqa: RUF009 # immutable

    def on_each(self, step: NodeStep) -> RunSummary:
        """Run a step on every host, with progress on stderr."""
        job = engine.Job(step, self.context, self.access, float(self.options.timeout))
        with (
            engines.open_engine(self.options.engine) as chosen,
            progress(output.progress(), self.verb.name, len(self.hosts)) as watching,
        ):
            at_once = chosen.concurrency(self.options.forks)
            return pool.run_on_all(self.verb, self.hosts, chosen.task(job), at_once, watching, self.rollout)

    @property
    def as_json(self) -> bool:
        """Return whether a listing is printed as JSON, not as text. Raises UsageError for flags that need a run."""
        output_format = self.options.format
        needs_run = {f"--format {output_format}": not FORMATS[output_format].for_listings}
        for flag, given in {**needs_run, "--report": self.options.report}.items():
            if given:
                raise UsageError(f"{flag} is not for render, hosts and rollback --list: they print no run")
        return output_format == "json"

    def with_summary(self, step: NodeStep, together: Together | None = None) -> None:
        """Run a step on each host and print the summary, as most verbs do.

        `fab --dry` makes a plan of apply and verify here. fix refuses it, rollback makes a plan of its own, and render
        and hosts, which do not come here, ignore it.

        together: a change of the list of results, once all of them are there.
        """
        if self.dry:
            replace(self, verb=PLAN, dry=False).with_summary(steps.plan_host)
            return
        summary = self.on_each(step)
        if together:
            results = list(summary.results)
            summary = replace(summary, results=())  # so that no result is kept beside the one in its place
            together(results)
            summary = replace(summary, results=tuple(results))
        self.finish(summary)

    @contextmanager
    def results(self) -> Iterator[Screen]:
        """Yield the screen for the verb's results.

        A closed pipe takes them without a message, and the command goes on to its exit code; a stdout that cannot be
        written for another reason, such as a full disk, ends the command.
        """
        try:
            screen = output.results()
            yield screen
            screen.file.flush()
        except OSError as error:
            output.drop_results()
            if not isinstance(error, BrokenPipeError):
                problem = f"{self.verb}: stdout could not be written: {error.strerror}"
                raise invoke.Exit(problem, code=EXIT_FAILED) from error

    def finish(self, summary: RunSummary) -> None:
        """Write the report, print the summary, and end the command with its exit code."""
        problem = self._save(summary)  # first: stdout may be closed by now
        with self.results() as screen:
            commands = NextCommands(self._retry_command(summary), self._next_command)
            FORMATS[self.options.format].write(summary, screen, commands)
        if problem:
            raise invoke.Exit(f"{self.verb}: {problem}", code=EXIT_FAILED)
        _exit(summary)

    def with_listing(self, step: NodeStep, listing: Listing) -> None:
        """Run a step on each host and print a listing of the results, as render and rollback --list do."""
        as_json = self.as_json  # first: a flag that has no place here costs no connection
        summary = self.on_each(step)
        with self.results() as screen:
            listing(summary.results, screen, as_json=as_json)
        self.finish_listing(summary)

    def finish_listing(self, summary: RunSummary) -> None:
        """End a verb that has printed a listing. If nodes have no result, text output adds the summary; JSON lists them
        already."""
        if not self.as_json and any(is_unfinished(result.status, result.same_as) for result in summary.results):
            self.finish(summary)
        _exit(summary)

    def _save(self, summary: RunSummary) -> str:
        """Write --report. Return the problem if that fails: by now it is not a reason to lose the rest."""
        if self.options.report:
            try:
                files.write_whole(Path(self.options.report), format_json(summary))
            except OSError as error:
                return f"--report {self.options.report} could not be written: {error.strerror}"
        return ""

    def _retry_command(self, summary: RunSummary) -> str:
        """Return the command that does again what was not done; empty if all was, or if it would end the same."""
        left = {result.host for result in summary.results if retry_can_help(result)}
        return followup.retry_command(self.typed.words, self.options.report, self._names(left)) if left else ""

    def _next_command(self, name: str, hosts: Iterable[str], user: str) -> str:
        """Return the command that goes on with a verb on some of the hosts; empty for an unknown verb.

        user: another user than the run's, or an empty text.
        """
        words, verbs = self.typed
        chosen = set(hosts)
        if name not in verbs:
            return ""
        command = followup.next_command(words, verbs[name], self._names(chosen, user), verbs)
        return f"{command} --yes" if command and verbs[name].one_node and len(chosen) > 1 else command

    def _names(self, names: Collection[str], user: str = "") -> str:
        """Return some of the hosts as -H reaches them again, folded. user: another one than the run's."""
        typed = (host.typed or host.name for host in self.hosts if host.name in names)
        return fold(f"{user}@{name.rpartition('@')[2]}" if user else name for name in typed)


def _exit(summary: RunSummary) -> None:
    """End the command with a run's exit code."""
    if code := exit_code(summary):
        raise invoke.Exit(code=code)
