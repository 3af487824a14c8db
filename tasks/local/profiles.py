"""Load profiles: folders of templates/."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tasks.core.errors import ProfileError, UsageError, VariableError
from tasks.core.host import Host
from tasks.core.interning import Interner
from tasks.core.plan import fix
from tasks.core.profile.profile import Profile
from tasks.core.profile.template import Source
from tasks.local.files import display_path, read_text

PARTS = ("modules-load.conf", "sysctl.conf")


def load_profile(folder: Path) -> Profile:
    """Return a profile from its folder. Raise ProfileError if it has no files, or one of them twice."""
    modules, sysctl = (_source(folder, part) for part in PARTS)
    if modules is None and sysctl is None:
        known = ", ".join(sorted(path.name for path in folder.parent.glob("*/"))) or "none"
        raise ProfileError(
            display_path(folder), 0, f"not a profile: expected {' or '.join(PARTS)}(.j2) in it (profiles: {known})"
        )
    return Profile(folder.name, modules, sysctl)


def _source(folder: Path, part: str) -> Source | None:
    files = [path for path in (folder / f"{part}.j2", folder / part) if path.is_file()]
    if len(files) > 1:
        raise ProfileError(display_path(folder), 0, f"expected one of {part} and {part}.j2, got both: keep one")
    return (
        Source(display_path(files[0]), read_text(files[0], ProfileError), files[0].suffix == ".j2") if files else None
    )


def load_profiles(flag: str, hosts: Sequence[Host], default: str, templates: Path) -> dict[str, tuple[Profile, ...]]:
    """Return {host name: profiles}, from --profile, else the host's variable `profiles`, else the default.

    Each of them is a list of names, separated by commas. Raise UsageError or ProfileError.
    """
    loaded: dict[str, Profile] = {}
    chosen = {host.name: profile_names(flag) if flag else _host_profiles(host, default) for host in hosts}
    for name in {name for names in chosen.values() for name in names}:
        loaded[name] = load_profile(templates / name)
    pool = Interner()
    return {host: pool.intern(tuple(loaded[name] for name in names)) for host, names in chosen.items()}


def _host_profiles(host: Host, default: str) -> list[str]:
    """Return the profiles of a host's variable `profiles`. Raise VariableError for a name that cannot be one."""
    if "profiles" not in host.variables:
        return profile_names(default)
    try:
        return profile_names(_joined(host.variables["profiles"]))
    except UsageError as error:
        raise VariableError(host.name, "profiles", str(error)) from None


def _joined(value: object) -> str:
    """Return names, separated by commas, from a text or from YAML's list of them."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def profile_names(text: str) -> list[str]:
    """Return the names of `kubernetes,proxy-ipvs`, each once. Raise UsageError for one that cannot name a folder."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        # Names from zz on belong to fix: a profile's file that sorts after those of fix would undo them at boot.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or name.startswith(fix.FIX_NAME[:2]):
            raise UsageError(f"{name!r} is not a profile's name: expected the name of a folder in templates/")
    return list(dict.fromkeys(names))
