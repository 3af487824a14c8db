"""What a command wants of each host: its profiles, its flags, and the run it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.core.host import Host
from tasks.core.profile.profile import Profile, RenderedProfile, render
from tasks.core.profile.variables import template_variables
from tasks.core.protocol.lock import ChangeId
from tasks.core.redact import Secret
from tasks.node.sudo import PasswordGates


@dataclass(frozen=True, slots=True)
class StepContext:
    """What is to be done, by whom: each host's profiles by its name, which half of them, the sudo password if any.

    force_unlock: change a node even if someone else is at it. ignored: checks that verify
    leaves out, see preflight.
    """

    profiles: Mapping[str, tuple[Profile, ...]]
    change: ChangeId
    only: str = ""
    comment_out_conflicts: bool = False
    force_unlock: bool = False
    ignored: frozenset[str] = frozenset()
    password: Secret | None = None
    gates: PasswordGates = field(default_factory=PasswordGates)

    def render(self, host: Host, facts: dict[str, object]) -> list[RenderedProfile]:
        """The profiles rendered for one host."""
        rendered = [
            render(profile, {**template_variables(host), "facts": facts}) for profile in self.profiles[host.name]
        ]
        return [filter_part(rendered, self.only) for rendered in rendered]


def filter_part(rendered: RenderedProfile, only: str) -> RenderedProfile:
    """`--only modules` or `--only sysctl`: the other half is neither looked at nor changed."""
    return RenderedProfile(
        rendered.profile,
        rendered.modules if only != "sysctl" else None,
        rendered.sysctl if only != "modules" else None,
    )
