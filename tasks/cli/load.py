"""Everything that can be wrong before any connection: flags, inventory, selection, profiles."""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import invoke

from tasks.cli.executor import FleetContext
from tasks.cli.options import Options, check_choices
from tasks.cli.run import Run
from tasks.core.errors import UsageError
from tasks.core.host import Host, HostKeys
from tasks.core.profile.profile import Profile, check_together
from tasks.core.profile.template import Source, check_names
from tasks.core.profile.variables import SAMPLE, template_variables
from tasks.core.redact import Secret, parse_password
from tasks.core.run.batches import parse_rollout
from tasks.core.run.report import EXIT_USAGE
from tasks.core.sanitize import sanitize_lines
from tasks.fleet import engines
from tasks.local import files, profiles
from tasks.local import inventory as local_inventory
from tasks.node.context import StepContext
from tasks.node.stamp import new_change_id
from tasks.ssh.config import load_ssh_config
from tasks.ssh.route import Access


def usage_exit(verb: str, error: UsageError) -> invoke.Exit:
    """A mistake of the admin's as the end of the command."""
    return invoke.Exit(sanitize_lines(f"{verb}: {error}"), code=EXIT_USAGE)


def load(context: Any, verb: str, options: Options) -> Run:
    """Everything that can be known to be wrong before any connection is found here. Raises UsageError."""
    if not isinstance(context, FleetContext):
        raise UsageError(
            "fabric.yaml was not read, so fab would take -H for hostnames: run fab in the project's folder, without -f"
        )
    check_choices(options)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it prints tracebacks of what we report ourselves
    settings = context.config.get("nodeprep", {})
    path = Path(options.inventory) if options.inventory else files.ROOT / settings.get("inventory", "hosts.ini")
    inventory = local_inventory.load_inventory(path)
    ssh_config = load_ssh_config(context.config)
    hosts = local_inventory.select_from(
        inventory, context.patterns, ssh_config.aliases, path.resolve().parent, retry=options.retry
    )
    for host in hosts[:1]:
        ssh_config.check(host.address, host.user or "")
    step_context = StepContext(
        _profiles(verb, options.profile, hosts, settings),
        change=new_change_id(verb, datetime.now(UTC)),
        only=options.only,
        password=_sudo_password(context.config),
    )
    hosts = engines.hosts_for_engine(options.engine, hosts, secrets=_given_secrets(context.config))
    for host in hosts:
        _check_templates(host, step_context)
    if options.report:
        files.check_writable(Path(options.report))
    access = Access.of(context.config, _host_keys(options), ssh_config)
    # What is here now stays to the end. Looked at again for garbage with each full collection, and at exit, it costs 45
    # ms of CPU with one node and 80 with 50.
    gc.freeze()
    return Run(verb, options, hosts, step_context, access, parse_rollout(options.serial, options.max_fail), context.dry)


def _profiles(
    verb: str, flag: str, hosts: Sequence[Host], settings: Mapping[str, str]
) -> dict[str, tuple[Profile, ...]]:
    """Each host's profiles. rollback has none: what a node was is on the node, whatever has become of the templates."""
    if verb == "rollback":
        return dict.fromkeys((host.name for host in hosts), ())
    templates = files.ROOT / settings.get("templates", "templates")
    return profiles.load_profiles(flag, hosts, settings.get("profile", "kubernetes"), templates)


def _sudo_password(config: Any) -> Secret | None:
    try:
        return parse_password(str(config.sudo.get("password") or ""))
    except ValueError as error:
        where = "correct FABRIC_SUDO_PASSWORD, or sudo.password in fabric's configuration"
        raise UsageError(f"the sudo password: {error}; {where}") from None


def _given_secrets(config: Any) -> bool:
    """Whether fab has a password or passphrase, for sudo or the login: by prompt, environment or configuration."""
    return any((config.sudo.get("password"), *map(config.connect_kwargs.get, ("password", "passphrase"))))


def _host_keys(options: Options) -> HostKeys | None:
    return HostKeys(options.host_keys) if options.host_keys else None


def _check_templates(host: Host, step_context: StepContext) -> None:
    """Renders a host's profiles with sample facts, so that a mistake in a template costs no connection."""
    known = {*template_variables(host), "facts"}
    for source in template_sources(step_context.profiles[host.name]):
        check_names(source, known)
    check_together(step_context.render(host, dict(SAMPLE)))


def template_sources(profiles: tuple[Profile, ...]) -> list[Source]:
    """The files of some profiles."""
    return [source for profile in profiles for source in (profile.modules, profile.sysctl) if source]
