"""What all verbs share: the inventory and the profiles that their flags lead to, the fan-out, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import invoke

from tasks.cli import followup
from tasks.cli.options import Options
from tasks.console import output
from tasks.console.json_report import format_json, write_json
from tasks.console.output import Screen
from tasks.console.progress import progress
from tasks.console.summary import show_summary
from tasks.core.errors import UsageError
from tasks.core.folding import fold
from tasks.core.host import Host
from tasks.core.result import NodeResult, RunSummary
from tasks.core.run.batches import Rollout
from tasks.core.run.report import EXIT_FAILED, exit_code, is_unfinished
from tasks.fleet import engine, engines, pool
from tasks.local import files
from tasks.node import steps
from tasks.node.context import StepContext
from tasks.node.conversation import NodeStep
from tasks.ssh.route import Access

Together = Callable[[list[NodeResult]], object]
Listing = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Run:
    """One command: who is selected, what is wanted of them, and how they are reached."""

    verb: str
    options: Options
    hosts: tuple[Host, ...]
    context: StepContext
    access: Access
    rollout: Rollout = field(default_factory=Rollout)
    dry: bool = False

    def on_each(self, step: NodeStep) -> RunSummary:
        """Runs a step on every host, with progress on stderr."""
        job = engine.Job(step, self.context, self.access, float(self.options.timeout))
        with (
            engines.open_engine(self.options.engine) as chosen,
            progress(output.progress(), self.verb, len(self.hosts)) as watching,
        ):
            at_once = chosen.concurrency(self.options.forks)
            return pool.run_on_all(self.verb, self.hosts, chosen.task(job), at_once, watching, self.rollout)

    @property
    def as_json(self) -> bool:
        """For verbs that print no run but something else, as text or JSON. Raises UsageError for what needs a run."""
        for flag, given in {"--format junit": self.options.format == "junit", "--report": self.options.report}.items():
            if given:
                raise UsageError(f"{flag} is not for show, hosts and rollback --list: they print no run")
        return self.options.format == "json"

    def with_summary(self, step: NodeStep, together: Together | None = None) -> None:
        """What most verbs do: a step on each host, then the summary.

        `fab --dry` makes a plan of apply and verify here. fix refuses it, rollback makes a plan of its own, and show
        and hosts, which do not come here, ignore it.

        together: what is to be done to the list of results once all of them are there, if anything.
        """
        if self.dry:
            replace(self, verb="plan", dry=False).with_summary(steps.plan_host)
            return
        summary = self.on_each(step)
        if together:
            results = list(summary.results)
            summary = replace(summary, results=())  # so that none is kept beside the one in its place
            together(results)
            summary = replace(summary, results=tuple(results))
        self.finish(summary)

    @contextmanager
    def results(self) -> Iterator[Screen]:
        """Where the verb's results go. A pipe that is closed takes them without a word, and the command goes on to its
        exit code; a stdout that cannot be written for another reason, such as a full disk, ends the command."""
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
        """Keeps the report, prints the summary, and ends the command with its exit code."""
        unsaved = self._save(summary)  # first: stdout may be closed by now
        with self.results() as screen:
            match self.options.format:
                case "json":
                    write_json(summary, screen)
                case "junit":
                    from tasks.console.junit import write_junit  # noqa: PLC0415 # few need it

                    write_junit(summary, screen)
                case _:
                    show_summary(summary, screen, again=self._again(summary), going_on=self._going_on)
        if unsaved:
            raise invoke.Exit(f"{self.verb}: {unsaved}", code=EXIT_FAILED)
        _exit(summary)

    def with_listing(self, step: NodeStep, listing: Listing) -> None:
        """What show and rollback --list do: a step on each host, then what it has found.

        listing: prints results on a screen, with as_json as JSON.
        """
        as_json = self.as_json  # first: a flag that has no place here costs no connection
        summary = self.on_each(step)
        with self.results() as screen:
            listing(summary.results, screen, as_json=as_json)
        self.finish_listing(summary)

    def finish_listing(self, summary: RunSummary) -> None:
        """Ends a verb that has printed something else than its run: where it has nothing of a node, text needs the
        summary, too; JSON says it already."""
        if not self.as_json and any(is_unfinished(result.status, result.same_as) for result in summary.results):
            self.finish(summary)
        _exit(summary)

    def _save(self, summary: RunSummary) -> str:
        """Writes --report; why it could not be written, for by now that is no reason to lose the rest."""
        if self.options.report:
            try:
                files.write_whole(Path(self.options.report), format_json(summary))
            except OSError as error:
                return f"--report {self.options.report} could not be written: {error.strerror}"
        return ""

    def _again(self, summary: RunSummary) -> str:
        """The command that does again what was not done; empty if all was."""
        left = {result.host for result in summary.results if is_unfinished(result.status, result.same_as)}
        return followup.retry_command(_command_line(), self.options.report, self._names(left)) if left else ""

    def _going_on(self, verb: str, names: Iterable[str]) -> str:
        """The command that goes on with a verb on some of the nodes."""
        return followup.next_command(_command_line(), verb, self._names(set(names)))

    def _names(self, names: Collection[str]) -> str:
        """Some of the hosts as -H reaches them again, folded."""
        return fold(host.typed or host.name for host in self.hosts if host.name in names)


def _exit(summary: RunSummary) -> None:
    """Ends the command with a run's exit code."""
    if code := exit_code(summary):
        raise invoke.Exit(code=code)


def _command_line() -> list[str]:
    """The command line of this run."""
    return ["fab", *sys.argv[1:]]
