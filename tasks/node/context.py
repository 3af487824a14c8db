"""The context of the steps of a run: profiles, flags, and the identity of the change."""

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
    """The context of the steps of a run on all its hosts.

    profiles: by the name of the host; only: `modules`, `sysctl` or empty for both; comment_out_conflicts: also comment
    out lines of other owners; force_unlock: change a node even if another run has its lock; ignored: checks that
    verify leaves out, by lower-case name; as_root: verify reads as root,
    through sudo; replace_profiles: take back profiles that the run does not name; confirmed: take settings back on a
    node in use; gates: see PasswordGates.
    """

    profiles: Mapping[str, tuple[Profile, ...]]
    change: ChangeId
    only: str = ""
    comment_out_conflicts: bool = False
    force_unlock: bool = False
    ignored: frozenset[str] = frozenset()
    as_root: bool = False
    replace_profiles: bool = False
    confirmed: bool = False
    password: Secret | None = None
    gates: PasswordGates = field(default_factory=PasswordGates)

    def render(self, host: Host, facts: dict[str, object]) -> list[RenderedProfile]:
        """Render the profiles of one host with its variables and facts. Raises ProfileError."""
        rendered = [
            render(profile, {**template_variables(host), "facts": facts}) for profile in self.profiles[host.name]
        ]
        return [filter_part(rendered, self.only) for rendered in rendered]


def filter_part(rendered: RenderedProfile, only: str) -> RenderedProfile:
    """Drop the part that `--only modules` or `--only sysctl` leaves out."""
    return RenderedProfile(
        rendered.profile,
        rendered.modules if only != "sysctl" else None,
        rendered.sysctl if only != "modules" else None,
    )
