"""kubeadm's SystemVerification: the kernel's version, its configuration and the control groups, told without kubeadm.

Source: kubernetes/system-validators, validators/types_unix.go (DefaultSysSpec), kernel_validator.go and
cgroup_validator_linux.go as of 1.12. tests/lab/test_validators.py holds this against that library on real kernels; the
library in Debian is 1.4.0, and docs/kubeadm-preflight.md says where the two differ.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from tasks.core.facts import Facts, ModuleState
from tasks.core.result import Item, ItemStatus, Kind

NAME = "SystemVerification"
VERSIONS = (r"5\.4", r"5\.10", r"5\.15", r"([6-9]|[1-9][0-9]+)\.[0-9]+\.[0-9]+")

# Each with the other name that will do.
OPTIONS = (
    *("NAMESPACES", "NET_NS", "PID_NS", "IPC_NS", "UTS_NS", "CPUSETS", "MEMCG", "INET", "EXT4_FS", "PROC_FS"),
    *("NETFILTER_XT_TARGET_REDIRECT|IP_NF_TARGET_REDIRECT", "NETFILTER_XT_MATCH_COMMENT", "FAIR_GROUP_SCHED"),
)

OPTIONS_V1 = ("CGROUPS", "CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER", "CGROUP_PIDS", "CGROUP_SCHED")
OPTIONS_V2 = ("CGROUPS", "CGROUP_BPF", "CGROUP_PIDS", "CGROUP_SCHED")
KERNEL_OPTIONS = "|".join(dict.fromkeys((*OPTIONS, *OPTIONS_V1, *OPTIONS_V2)))
V2, V1 = "/sys/fs/cgroup/cgroup.controllers", "/proc/cgroups"
CGROUP_V1_FILE = ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
CGROUP_V2_FILE = ("cpu", "cpuset", "memory", "pids")  # devices and freezer are in every kernel that is new enough
OPTIONAL_V1, OPTIONAL_V2 = ("hugetlb", "blkio"), ("hugetlb", "io")
CGROUP_V1_REFUSED_SINCE = (1, 35)  # kubelet's failCgroupV1: KEP-5573


class Verdict(NamedTuple):
    """What kubeadm refuses and what it warns of, each a text, with what to do about it."""

    errors: Sequence[tuple[str, str]] = ()
    warnings: Sequence[tuple[str, str]] = ()


def verify_system(facts: Facts, kubelet: tuple[int, int] | None) -> Item:
    """The one item of all this. kubelet: its version as far as the inventory tells it; None: a current one."""
    found = [_version(facts), _configuration(facts), _groups(facts, kubelet)]
    refused = [each for verdict in found for each in verdict.errors]
    warned = [each for verdict in found for each in verdict.warnings]
    status = ItemStatus.DRIFT if refused else ItemStatus.ADVISORY if warned else ItemStatus.OK
    told = refused or warned
    got = "; ".join(text for text, _ in told) or f"kernel {facts.kernel}, cgroup v{2 if _is_v2(facts) else 1}"
    why = "; ".join(text for text, _ in warned) if refused else ""
    step = "; ".join(dict.fromkeys(step for _, step in told if step))
    return Item(Kind.CHECK, NAME, status, "a kernel and control groups that kubeadm accepts", got, why, step)


def _version(facts: Facts) -> Verdict:
    if any(re.match(version, facts.kernel) for version in VERSIONS):
        return Verdict()
    step = "boot a kernel that kubeadm accepts: 5.4, 5.10, 5.15, or 6.0 and newer"
    return Verdict([(f"unsupported kernel release {facts.kernel}", step)])


def _configuration(facts: Facts) -> Verdict:
    lines = facts.extra_sections.get("options", ())
    if not lines:
        return _configuration_not_found(facts)
    if lines[0].startswith("x"):
        return Verdict(
            warnings=[(f"{lines[0][1:]} is readable by root only", "verify it as root: fab -H root@NODE verify")]
        )
    set_ones = {line.removeprefix("CONFIG_").partition("=")[0] for line in lines[1:] if line[-2:] in ("=y", "=m")}
    wanted = (*OPTIONS, *(OPTIONS_V2 if _is_v2(facts) else OPTIONS_V1))
    lacking = ["CONFIG_" + names.partition("|")[0] for names in wanted if not set_ones & set(names.split("|"))]
    step = "boot a kernel that is built with them"
    return Verdict([(f"{lines[0][1:]} lacks {' '.join(lacking)}", step)]) if lacking else Verdict()


def _configuration_not_found(facts: Facts) -> Verdict:
    """kubeadm loads the module `configs` then; if there is none, it refuses the node."""
    if facts.module("configs") is not ModuleState.MISSING:
        return Verdict(warnings=[("the kernel's configuration shows only once the module configs is loaded", "")])
    step = f"put the kernel's configuration at /boot/config-{facts.kernel}"
    return Verdict([("the kernel's configuration is in no file", step)])


def _is_v2(facts: Facts) -> bool:
    return facts.values.get(V2) is not None


def _groups(facts: Facts, kubelet: tuple[int, int] | None) -> Verdict:
    if _is_v2(facts):
        return _controllers((facts.values[V2] or "").split(), CGROUP_V2_FILE, OPTIONAL_V2)
    enabled = [words[0] for line in facts.texts(V1) if len(words := line.split()) >= 4 and words[3] != "0"]
    verdict = _controllers(enabled, CGROUP_V1_FILE, OPTIONAL_V1)
    old = [("cgroup v1", "boot with systemd.unified_cgroup_hierarchy=1, or a newer release")]
    if kubelet is not None and kubelet < CGROUP_V1_REFUSED_SINCE:
        return Verdict(verdict.errors, [*old, *verdict.warnings])
    return Verdict([*old, *verdict.errors], verdict.warnings)


def _controllers(enabled: Collection[str], required: Sequence[str], optional: Sequence[str]) -> Verdict:
    lacking = [name for name in required if name not in enabled]
    spare = [name for name in optional if name not in enabled]
    step = "enable them: see cgroup_disable= and cgroup_enable= in /proc/cmdline"
    return Verdict(
        [(f"missing required cgroups: {' '.join(lacking)}", step)] if lacking else (),
        [(f"missing optional cgroups: {' '.join(spare)}", "")] if spare else (),
    )
