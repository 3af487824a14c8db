"""What all verbs share: the inventory and the profiles that their flags lead to, the fan-out, and the exit code."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import invoke

from tasks import project
from tasks.console import output
from tasks.console.machine import as_json, write_json
from tasks.console.output import Screen
from tasks.console.progress import progress
from tasks.console.summary import show
from tasks.core import retry
from tasks.core.batches import Pace, pace
from tasks.core.connection import secret
from tasks.core.errors import UsageError
from tasks.core.facts import SAMPLE
from tasks.core.inventory import template_variables
from tasks.core.model import Host, HostKeys, NodeResult, RunSummary, Secret
from tasks.core.profile import Profile, Source, check_names, check_together
from tasks.core.report import EXIT_FAILED, EXIT_USAGE, exit_code, unfinished
from tasks.core.selection import fold
from tasks.core.text import printable_lines
from tasks.remote import engine, fleet, node
from tasks.remote.executor import FleetContext
from tasks.remote.node import Step, Work
from tasks.remote.route import Access
from tasks.remote.stamp import new_stamp
from tasks.verb import Options

CHOICES = {
    "only": ("", "modules", "sysctl"),
    "format": ("text", "json", "junit"),
    "host_keys": ("", *(str(mode) for mode in HostKeys)),
}
Together = Callable[[list[NodeResult]], object]
Listing = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Run:
    """One command: who is selected, what is wanted of them, and how they are reached."""

    verb: str
    options: Options
    hosts: tuple[Host, ...]
    work: Work
    access: Access
    pace: Pace = field(default_factory=Pace)
    dry: bool = False

    def on_each(self, step: Step) -> RunSummary:
        """Runs a step on every host, with progress on stderr."""
        job = engine.Job(step, self.work, self.access, float(self.options.timeout))
        with (
            engine.named(self.options.engine) as chosen,
            progress(output.progress(), self.verb, len(self.hosts)) as watching,
        ):
            at_once = chosen.at_once(self.options.forks)
            return fleet.run(self.verb, self.hosts, chosen.task(job), at_once, watching, self.pace)

    @property
    def as_json(self) -> bool:
        """For verbs that print no run but something else, as text or JSON. Raises UsageError for what needs a run."""
        for flag, given in {"--format junit": self.options.format == "junit", "--report": self.options.report}.items():
            if given:
                raise UsageError(f"{flag} is not for show, hosts and rollback --list: they print no run")
        return self.options.format == "json"

    def with_summary(self, step: Step, together: Together | None = None) -> None:
        """What most verbs do: a step on each host, then the summary.

        `fab --dry` makes a plan of apply and verify here. fix refuses it, rollback makes a plan of its own, and show
        and hosts, which do not come here, ignore it.

        together: what is to be done to the list of results once all of them are there, if anything.
        """
        if self.dry:
            replace(self, verb="plan", dry=False).with_summary(node.plan)
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
                    show(summary, screen, again=self._again(summary), going_on=self._going_on)
        if unsaved:
            raise invoke.Exit(f"{self.verb}: {unsaved}", code=EXIT_FAILED)
        _end(summary)

    def with_listing(self, step: Step, listing: Listing) -> None:
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
        if not self.as_json and any(unfinished(result.status, result.same_as) for result in summary.results):
            self.finish(summary)
        _end(summary)

    def _save(self, summary: RunSummary) -> str:
        """Writes --report; why it could not be written, for by now that is no reason to lose the rest."""
        if self.options.report:
            try:
                project.save(Path(self.options.report), as_json(summary))
            except OSError as error:
                return f"--report {self.options.report} could not be written: {error.strerror}"
        return ""

    def _again(self, summary: RunSummary) -> str:
        """The command that does again what was not done; empty if all was."""
        left = {result.host for result in summary.results if unfinished(result.status, result.same_as)}
        return retry.command(_typed(), self.options.report, self._names(left)) if left else ""

    def _going_on(self, verb: str, names: Iterable[str]) -> str:
        """The command that goes on with a verb on some of the nodes."""
        return retry.going_on(_typed(), verb, self._names(set(names)))

    def _names(self, names: Collection[str]) -> str:
        """Some of the hosts as -H reaches them again, folded."""
        return fold(host.typed or host.name for host in self.hosts if host.name in names)


def _end(summary: RunSummary) -> None:
    """Ends the command with a run's exit code."""
    if code := exit_code(summary):
        raise invoke.Exit(code=code)


def _typed() -> list[str]:
    """The command line of this run."""
    return ["fab", *sys.argv[1:]]


def refused(verb: str, error: UsageError) -> invoke.Exit:
    """A mistake of the admin's as the end of the command."""
    return invoke.Exit(printable_lines(f"{verb}: {error}"), code=EXIT_USAGE)


def load(context: Any, verb: str, options: Options) -> Run:
    """Everything that can be known to be wrong before any connection is found here. Raises UsageError."""
    if not isinstance(context, FleetContext):
        raise UsageError(
            "fabric.yaml was not read, so fab would take -H for hostnames: run fab in the project's folder, without -f"
        )
    _check(options)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it prints tracebacks of what we report ourselves
    settings = context.config.get("nodeprep", {})
    path = Path(options.inventory) if options.inventory else project.ROOT / settings.get("inventory", "hosts.ini")
    inventory = project.load_inventory(path)
    hosts = project.select(inventory, context.patterns, context.config, path.resolve().parent, retry=options.retry)
    work = Work(
        _profiles(verb, options.profile, hosts, settings),
        stamp=new_stamp(verb),
        only=options.only,
        password=_sudo_password(context.config),
    )
    hosts = engine.prepared(options.engine, hosts, secrets=_given_secrets(context.config))
    for host in hosts:
        _check_templates(host, work)
    if options.report:
        project.check_writable(Path(options.report))
    access = Access.of(context.config, _host_keys(options))
    # What is here now stays to the end. Looked at again for garbage with each full collection, and at exit, it costs 45
    # ms of CPU with one node and 80 with 50.
    gc.freeze()
    return Run(verb, options, hosts, work, access, pace(options.serial, options.max_fail), context.dry)


def _profiles(
    verb: str, flag: str, hosts: Sequence[Host], settings: Mapping[str, str]
) -> dict[str, tuple[Profile, ...]]:
    """Each host's profiles. rollback has none: what a node was is on the node, whatever has become of the templates."""
    if verb == "rollback":
        return dict.fromkeys((host.name for host in hosts), ())
    templates = project.ROOT / settings.get("templates", "templates")
    return project.load_profiles(flag, hosts, settings.get("profile", "kubernetes"), templates)


def _sudo_password(config: Any) -> Secret | None:
    try:
        return secret(str(config.sudo.get("password") or ""))
    except ValueError as error:
        where = "correct FABRIC_SUDO_PASSWORD, or sudo.password in fabric's configuration"
        raise UsageError(f"the sudo password: {error}; {where}") from None


def _given_secrets(config: Any) -> bool:
    """Whether fab has a password or passphrase, for sudo or the login: by prompt, environment or configuration."""
    return any((config.sudo.get("password"), *map(config.connect_kwargs.get, ("password", "passphrase"))))


def _check(options: Options) -> None:
    for name, allowed in CHOICES.items():
        if (value := getattr(options, name)) not in allowed:
            expected = ", ".join(filter(None, allowed))
            raise UsageError(f"--{name.replace('_', '-')}: expected one of {expected}, got {value!r}")


def _host_keys(options: Options) -> HostKeys | None:
    return HostKeys(options.host_keys) if options.host_keys else None


def _check_templates(host: Host, work: Work) -> None:
    """Renders a host's profiles with sample facts, so that a mistake in a template costs no connection."""
    known = {*template_variables(host), "facts"}
    for source in sources(work.profiles[host.name]):
        check_names(source, known)
    check_together(work.wishes(host, dict(SAMPLE)))


def sources(profiles: tuple[Profile, ...]) -> list[Source]:
    """The files of some profiles."""
    return [source for profile in profiles for source in (profile.modules, profile.sysctl) if source]
