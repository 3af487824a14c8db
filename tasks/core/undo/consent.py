"""Consent for what an apply takes back: a whole profile that somebody applied, and settings of a node in use.

The use count of a module does not show every user: br_netfilter works on every bridge with a count of 0. Sources: the
kernel, net/bridge/br_netfilter_hooks.c, net/netfilter/nf_conntrack_standalone.c, net/netfilter/ipvs/ip_vs_ctl.c.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tasks.core.facts import Facts
from tasks.core.ownfiles import profile_of_file
from tasks.core.protocol.instructions import find_path, look
from tasks.core.protocol.lock import run_time
from tasks.core.undo.snapshot import Snapshot
from tasks.core.undo.stale import Stale

BRIDGES = "/sys/class/net/*/bridge"
CONNECTIONS = "/proc/sys/net/netfilter/nf_conntrack_count"
SERVICES = "/proc/net/ip_vs"
MOUNTS = "/proc/mounts"
_SERVICE_HEADER = 3  # lines of /proc/net/ip_vs before the first service


def find_users(stale: Stale, joined: Iterable[str]) -> list[str]:
    """Return the instructions that ask for the users of the stale modules and for the files of a join."""
    return [*map(find_path, joined), *(_PROBES[name] for name in _PROBES if _is_stale(name, stale))]


_PROBES = {
    "br_netfilter": find_path(BRIDGES),
    "nf_conntrack": look(CONNECTIONS),
    "ip_vs": look(SERVICES),
    "overlay": look(MOUNTS),
}


def _is_stale(name: str, stale: Stale) -> bool:
    return any(module == name or (name == "ip_vs" and module.startswith("ip_vs_")) for module in stale.modules)


def describe_use(stale: Stale, facts: Facts, joined: Iterable[str]) -> str:
    """Describe the use of a node that stands against taking settings back; an empty text if none is known."""
    if not (stale.keys or stale.modules):
        return ""
    reasons = [f"it has joined a cluster ({path})" for path in joined if facts.exists(path)][:1]
    bridges = sorted(path.split("/")[4] for path in facts.present if path.startswith("/sys/class/net/"))
    if bridges and _is_stale("br_netfilter", stale):
        reasons.append(f"br_netfilter has the bridge {bridges[0]}")
    if _is_stale("nf_conntrack", stale) and (count := (facts.values.get(CONNECTIONS) or "0")) != "0":
        reasons.append(f"nf_conntrack tracks {count} connections")
    if _is_stale("ip_vs", stale) and len(facts.numbered.get(SERVICES, ())) > _SERVICE_HEADER:
        reasons.append("ip_vs has services")
    if _is_stale("overlay", stale) and any(line.split(" ")[2:3] == ["overlay"] for line in facts.texts(MOUNTS)):
        reasons.append("overlay has mounts")
    return ", ".join(reasons)


def profiles_taken_back(stale: Stale, chosen: Collection[str]) -> list[str]:
    """Return the profiles whose files would all go: they are on the node, and the run does not name them."""
    names = {profile_of_file(path) for path in stale.files}
    return sorted(name for name in names if name and name not in chosen)


def refuse_profiles(taken: Sequence[str], chosen: Sequence[str], snapshots: Sequence[Snapshot]) -> tuple[str, str]:
    """Return the problem and the step for profiles that a run would take back without --replace."""
    noun = "profile" if len(taken) == 1 else "profiles"
    pronoun = "it" if len(taken) == 1 else "them"
    problem = f"the node has the {noun} {' and '.join(_with_author(name, snapshots) for name in taken)}"
    both = ",".join(dict.fromkeys((*chosen, *taken)))
    return problem, f"add {pronoun} (--profile {both}), or take {pronoun} back (--replace)"


def _with_author(name: str, snapshots: Sequence[Snapshot]) -> str:
    """Name a profile with who applied it last, as far as the node's history tells."""
    last = next((each for each in reversed(snapshots) if name in each.profiles), None)
    return f"{name}, applied by {last.change.who} on {run_time(last.change.run)}" if last else name


def refuse_use(stale: Stale, use: str) -> tuple[str, str]:
    """Return the problem and the step for settings of a node in use that a run would take back without --yes."""
    going = [*stale.modules, *stale.keys]
    shown = ", ".join(going[:_SHOWN]) + (f" and {len(going) - _SHOWN} more" if len(going) > _SHOWN else "")
    return (
        f"the node is in use: {use}; the run would take back {shown}",
        "choose the profiles that it has, or confirm with --yes",
    )


_SHOWN = 8
