"""Our files on a node: their names, their header, and their content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tasks.core.kernel import key_name, key_path
from tasks.core.memo import memoized

MODULES_PATH = "/etc/modules-load.d/nodeprep-{}.conf"

# 99-zz-: Debian's 99-sysctl.conf link sorts after 99-k8s.conf and would win; Cilium's 99-zzz- stays after ours.
SYSCTL_PATH = "/etc/sysctl.d/99-zz-nodeprep-{}.conf"
HASH_PREFIX = "# sha256 of the lines below: "  # node/scripts/probe.sh reports this comment
FIX_PROFILE = "zz-fix"  # sorts after every profile, so that no profile's file undoes a fix at boot


class RenderedFile(NamedTuple):
    """A file as it has to be on the node: owned by root, mode 0644, with a newline after each line."""

    path: str
    lines: tuple[str, ...]

    @property
    def effective(self) -> tuple[str, ...]:
        """Return the lines that a probe reports of it: those that are not comments, and the comment with the hash."""
        return _effective(self.lines)


@memoized(maxsize=64)  # most nodes get the same files
def _effective(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line for line in lines if line and (line[0] not in "#;" or line.startswith(HASH_PREFIX)))


def assignments(lines: Iterable[str]) -> dict[str, str]:
    """Parse the lines of a plain sysctl.d file as the node does: the last value of each key, by dotted name."""
    return dict(_assignments(tuple(lines)))


@memoized(maxsize=16)  # most nodes have the same files
def _assignments(lines: tuple[str, ...]) -> Mapping[str, str]:
    found = {}
    for line in lines:
        name, equals, value = line.partition("=")
        key = name.strip().removeprefix("-").strip()
        if equals and key and key[0] not in "#;":
            found[key_name(key_path(key))] = " ".join(value.split())
    return found


def _origin(profile: str) -> str:
    if profile == FIX_PROFILE:
        return "fix: repairs that no profile keeps; `fix` again changes them."
    return f"from its profile {profile}: change the profile and apply it, not this file."


def with_header(path: str, profile: str, lines: Sequence[str]) -> RenderedFile:
    """Return a file with our header above its lines: its origin, and a hash over all of them, comments as well."""
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    header = [
        f"# Written by nodeprep {_origin(profile)}",
        f"{HASH_PREFIX}{digest}",
    ]
    return RenderedFile(path, (*header, *lines))


def profile_of_file(path: str, templates: Iterable[str] = (MODULES_PATH, SYSCTL_PATH)) -> str:
    """Return the profile whose file has this path, an empty text if the path is not one of ours."""
    for template in templates:
        head, tail = template.split("{}")
        name = path.removeprefix(head).removesuffix(tail)
        if path == template.format(name) and re.fullmatch("[A-Za-z0-9_-]+", name):
            return name
    return ""


def is_our_file(path: str) -> bool:
    """Return whether a path has the form of one of our files."""
    return bool(profile_of_file(path))


def is_our_folder(path: str) -> bool:
    """Return whether a path is a folder that our files lie in."""
    return path in {template.rpartition("/")[0] for template in (MODULES_PATH, SYSCTL_PATH)}
