"""Load everything that can be wrong before any connection: flags, inventory, selection, profiles."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import invoke

from tasks.cli import followup
from tasks.cli.executor import FleetContext
from tasks.cli.options import Options, check_choices
from tasks.cli.run import CommandLine, Run
from tasks.console.formats import FORMATS
from tasks.core.errors import ProfileError, UsageError, VariableError
from tasks.core.host import Host, HostKeys
from tasks.core.inventory.inventory import Inventory
from tasks.core.profile.profile import Profile, check_together
from tasks.core.profile.template import (
    Source,
    TemplateInputs,
    check_names,
    is_bounded,
    render_source,
    template_names,
)
from tasks.core.profile.variables import SAMPLE, template_variables
from tasks.core.redact import Secret, parse_password
from tasks.core.run.batches import parse_rollout
from tasks.core.run.report import EXIT_USAGE
from tasks.core.sanitize import sanitize_lines
from tasks.core.verb import Verb
from tasks.fleet import engines
from tasks.local import files, profiles
from tasks.local import inventory as local_inventory
from tasks.local.budget import Report, first_over_budget
from tasks.node.context import StepContext
from tasks.node.stamp import new_change_id
from tasks.ssh.config import load_ssh_config
from tasks.ssh.route import Access

RENDER_SECONDS, RENDER_MEBIBYTES = 10, 256  # of one template, rendered for one host

CHOICES = {
    "only": ("", "modules", "sysctl"),
    "format": tuple(FORMATS),
    "host_keys": ("", *(str(mode) for mode in HostKeys)),
}


def usage_exit(verb: Verb, error: UsageError) -> invoke.Exit:
    """Return the end of a command for a mistake of the admin's."""
    return invoke.Exit(sanitize_lines(f"{verb}: {error}"), code=EXIT_USAGE)


def load(context: Any, verb: Verb, options: Options) -> Run:
    """Load what a run needs. Raises UsageError for everything that can be known to be wrong before any connection."""
    if not isinstance(context, FleetContext):
        raise UsageError(
            "fabric.yaml was not read, so fab would take -H for hostnames: run fab in the project's folder, without -f"
        )
    typed = _command_line(context.core.verbs)
    check_choices(options, CHOICES)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it prints tracebacks of what we report ourselves
    settings = context.config.get("nodeprep", {})
    path = Path(options.inventory) if options.inventory else files.ROOT / settings.get("inventory", "hosts.ini")
    inventory = local_inventory.load_inventory(path)
    ssh_config = load_ssh_config(context.config)
    hosts = local_inventory.select_from(
        inventory, context.core.patterns, ssh_config.aliases, path.resolve().parent, retry=options.retry
    )
    for host in hosts[:1]:
        ssh_config.check(host.address, host.user or "")
    step_context = StepContext(
        _profiles(verb, options.profile, hosts, settings, inventory),
        change=new_change_id(verb.name, datetime.now(UTC)),
        only=options.only,
        password=_sudo_password(context.config),
    )
    hosts = engines.hosts_for_engine(options.engine, hosts, secrets=_given_secrets(context.config))
    _check_all_templates(inventory, hosts, step_context)
    if options.report:
        files.check_writable(Path(options.report))
    access = Access.of(context.config, _host_keys(options), ssh_config)
    # The objects that exist now live to the end. Examined for garbage by each full collection, and at exit, they cost
    # 45 ms of CPU with one node and 80 with 50.
    gc.freeze()
    rollout = parse_rollout(options.serial, options.max_fail)
    return Run(verb, options, hosts, step_context, access, rollout, context.core.dry, typed)


def _command_line(verbs: Mapping[str, Verb]) -> CommandLine:
    """Return the command line in the words of this release; announce the new ones for the old ones of it."""
    words, old_words = followup.replace_old_words(["fab", *sys.argv[1:]], verbs)
    for old, new in old_words.items():
        _announce_new_word(old, new)
    return CommandLine(tuple(words), verbs)


def _check_all_templates(inventory: Inventory, hosts: Sequence[Host], step_context: StepContext) -> None:
    """Raise UsageError for a template that cannot be rendered for one of the hosts, or not within the budget."""
    try_templates(hosts, step_context)
    with _places(inventory):
        for host in hosts:
            inventory.check_literals(host, _used_names(step_context.profiles[host.name]))
            _check_templates(host, step_context)


@contextlib.contextmanager
def _places(inventory: Inventory) -> Iterator[None]:
    """Give errors about a host's variables the file and line where they are set."""
    try:
        yield
    except VariableError as error:
        raise inventory.located(error) from None


@functools.cache  # once, also where one command has several verbs
def _announce_new_word(old: str, new: str) -> None:
    sys.stderr.write(f"{old} is now {new}: the old word goes away with the next release\n")


def _profiles(
    verb: Verb, flag: str, hosts: Sequence[Host], settings: Mapping[str, str], inventory: Inventory
) -> dict[str, tuple[Profile, ...]]:
    """Return each host's profiles. rollback has none: a node's past is on the node, whatever the templates are now."""
    if not verb.uses_profiles:
        return dict.fromkeys((host.name for host in hosts), ())
    templates = files.ROOT / settings.get("templates", "templates")
    with _places(inventory):
        return profiles.load_profiles(flag, hosts, settings.get("profile", "kubernetes"), templates)


def _sudo_password(config: Any) -> Secret | None:
    try:
        return parse_password(str(config.sudo.get("password") or ""))
    except ValueError as error:
        where = "correct FABRIC_SUDO_PASSWORD, or sudo.password in fabric's configuration"
        raise UsageError(f"the sudo password: {error}; {where}") from None


def _given_secrets(config: Any) -> bool:
    """Return whether fab has a password or passphrase, for sudo or the login, from prompt, environment or settings."""
    return any((config.sudo.get("password"), *map(config.connect_kwargs.get, ("password", "passphrase"))))


def _host_keys(options: Options) -> HostKeys | None:
    return HostKeys(options.host_keys) if options.host_keys else None


def try_templates(hosts: Sequence[Host], step_context: StepContext) -> None:
    """Raise ProfileError for a template that takes too long or too much memory with sample facts.

    Only templates with loops, calls and the like are tried, in a process of their own: the trial cannot end this one.
    """
    tried = [
        (host, source)
        for host in hosts
        for source in template_sources(step_context.profiles[host.name])
        if not is_bounded(source)
    ]
    work = functools.partial(_render_all, tried)
    if tried and (path := first_over_budget(work, seconds=RENDER_SECONDS, mebibytes=RENDER_MEBIBYTES)) is not None:
        problem = (
            f"expected a template that renders within {RENDER_SECONDS} s and {RENDER_MEBIBYTES} MiB, got one above"
        )
        raise ProfileError(path, 0, problem)


def _render_all(sources: Iterable[tuple[Host, Source]], report: Report) -> None:
    """Render each template once for each set of the variables that it uses, and report its path before."""
    seen: set[tuple[Source, TemplateInputs]] = set()
    for host, source in sources:
        report(source.path)
        variables = {**template_variables(host), "facts": dict(SAMPLE)}
        used = template_names(source).used
        inputs = TemplateInputs({name: variables[name] for name in sorted(used) if name in variables})
        if (source, inputs) not in seen:
            seen.add((source, inputs))
            render_source(source, inputs.variables)


def _check_templates(host: Host, step_context: StepContext) -> None:
    """Render a host's profiles with sample facts, so that a mistake in a template costs no connection."""
    known = {*template_variables(host), "facts"}
    for source in template_sources(step_context.profiles[host.name]):
        check_names(source, known)
    check_together(step_context.render(host, dict(SAMPLE)))


def _used_names(profiles: tuple[Profile, ...]) -> set[str]:
    """Return the variables that the templates of some profiles use."""
    return {name for source in template_sources(profiles) if source.template for name in template_names(source).used}


def template_sources(profiles: tuple[Profile, ...]) -> list[Source]:
    """Return the files of some profiles."""
    return [source for profile in profiles for source in (profile.modules, profile.sysctl) if source]
