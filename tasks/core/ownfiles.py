"""The files on a node that are ours: their names, their header, and their contents."""

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
HASH_PREFIX = "# sha256 of the lines below: "  # the probe looks for it
FIX_PROFILE = "zz-fix"  # sorts after every profile, so that no profile's file undoes a repair at boot


class RenderedFile(NamedTuple):
    """A file as it has to be on the node: owned by root, mode 0644, its lines with a newline after each."""

    path: str
    lines: tuple[str, ...]

    @property
    def effective(self) -> tuple[str, ...]:
        """What a probe brings back of it: the lines that are no comments, and the hash over all of them."""
        return _effective(self.lines)


@memoized(maxsize=64)  # mostly nodes get the same files
def _effective(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line for line in lines if line and (line[0] not in "#;" or line.startswith(HASH_PREFIX)))


def assignments(lines: Iterable[str]) -> dict[str, str]:
    """A plain sysctl.d file, read as the node reads it: the last value of each key, by dotted name."""
    return dict(_assignments(tuple(lines)))


@memoized(maxsize=16)  # mostly nodes have the same files
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
    """A file with our header over its lines: who owns it, and a hash that covers its comments too."""
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    header = [
        f"# Written by nodeprep {_origin(profile)}",
        f"{HASH_PREFIX}{digest}",
    ]
    return RenderedFile(path, (*header, *lines))


def profile_of_file(path: str, templates: Iterable[str] = (MODULES_PATH, SYSCTL_PATH)) -> str:
    """The profile whose file a path is by its name; empty if it is none of ours."""
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
