"""The rules of SystemVerification that depend on the version of Kubernetes.

Each kubeadm is built with its own version of the library kubernetes/system-validators. Sources: its tags 1.8.0 to
1.12.1, validators/types_unix.go (DefaultSysSpec); the library of each kubeadm: kubernetes, CHANGELOG-1.32 to -1.35, and
pull requests 131919, 134086, 134087 and 134090. docs/kubeadm-preflight.md has the same table.
"""

from __future__ import annotations

from typing import NamedTuple

from tasks.core.kubeadm.inputs import Version
from tasks.core.result import ItemStatus

# `|` separates two names, either of which is enough.
OPTIONS = (
    *("NAMESPACES", "NET_NS", "PID_NS", "IPC_NS", "UTS_NS", "CPUSETS", "MEMCG", "INET", "EXT4_FS", "PROC_FS"),
    *("NETFILTER_XT_TARGET_REDIRECT|IP_NF_TARGET_REDIRECT", "NETFILTER_XT_MATCH_COMMENT", "FAIR_GROUP_SCHED"),
)

OPTIONS_V1 = ("CGROUPS", "CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER", "CGROUP_PIDS", "CGROUP_SCHED")
OPTIONS_V2 = ("CGROUPS", "CGROUP_BPF", "CGROUP_PIDS", "CGROUP_SCHED")
CGROUPS = ("CGROUPS",)
OPTIONS_BOTH = tuple(dict.fromkeys((*OPTIONS_V1, *OPTIONS_V2)))
KERNEL_OPTIONS = "|".join((*OPTIONS, *OPTIONS_BOTH))


class Rules(NamedTuple):
    """The rules of a kubeadm, from a version of Kubernetes on.

    releases: patterns of the kernels that it lists, and the same in words; unlisted: its verdict on others. options_v1
    and options_v2: the kernel's options for the cgroup version in use. cgroup_v1: its verdict on cgroup v1. freezer:
    with cgroup v2, it looks for cgroup.freeze.
    """

    since: Version
    releases: tuple[str, ...]
    listed: str
    unlisted: ItemStatus
    options_v1: tuple[str, ...]
    options_v2: tuple[str, ...]
    cgroup_v1: ItemStatus
    freezer: bool = True


_ANY = r"\.[0-9]+\.[0-9]+"
_RULES_1_0 = Rules(  # system-validators 1.8.0 and older
    (0, 0, 0),
    (r"3\.[1-9][0-9]", rf"([4-9]|[1-9][0-9]+){_ANY}"),
    "3.10 and newer",
    ItemStatus.DRIFT,
    OPTIONS_V1,
    OPTIONS_V1,
    ItemStatus.OK,
    freezer=False,
)
_RULES_1_32 = Rules(  # 1.9.1
    (1, 32, 0),
    (r"4\.19", r"4\.[2-9][0-9]", rf"([5-9]|[1-9][0-9]+){_ANY}"),
    "4.19 and newer",
    ItemStatus.DRIFT,
    OPTIONS_BOTH,
    OPTIONS_BOTH,
    ItemStatus.ADVISORY,
)
_RULES_1_34 = _RULES_1_32._replace(  # 1.10.1
    since=(1, 34, 0),
    releases=(r"5\.4", r"5\.10", r"5\.15", rf"([6-9]|[1-9][0-9]+){_ANY}"),
    listed="5.4, 5.10, 5.15, 6.0 and newer",
    unlisted=ItemStatus.ADVISORY,
)
_RULES_1_35 = _RULES_1_34._replace(  # 1.12.1; cgroup v1 is refused by kubelet's failCgroupV1, KEP-5573
    since=(1, 35, 0), options_v1=OPTIONS_V1, options_v2=OPTIONS_V2, cgroup_v1=ItemStatus.DRIFT
)
RULES = (
    _RULES_1_0,
    _RULES_1_32,
    _RULES_1_32._replace(since=(1, 32, 10), options_v1=CGROUPS, options_v2=CGROUPS),  # 1.9.2
    _RULES_1_32._replace(since=(1, 33, 0)),
    _RULES_1_32._replace(since=(1, 33, 6), options_v1=CGROUPS, options_v2=CGROUPS),  # 1.9.2
    _RULES_1_34,
    _RULES_1_34._replace(since=(1, 34, 2), options_v1=CGROUPS, options_v2=CGROUPS),  # 1.10.2
    _RULES_1_35,
)


def find_rules(version: Version) -> Rules:
    """Return the rules of the kubeadm of a version of Kubernetes."""
    return next(rules for rules in reversed(RULES) if rules.since <= version)
