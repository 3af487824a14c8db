"""The check SystemVerification: the kernel's release, its configuration, and the control groups.

Source: kubernetes/system-validators, validators/types_unix.go (DefaultSysSpec), kernel_validator.go and
cgroup_validator_linux.go as of 1.12. tests/lab/test_validators.py compares this with that library on real kernels; the
library in Debian is 1.4.0, and docs/kubeadm-preflight.md lists the differences.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tasks.core.facts import Facts, ModuleState
from tasks.core.kubeadm.inputs import CheckInputs, check_item, kubernetes_version
from tasks.core.protocol.instructions import find_kernel_options, look, want_module
from tasks.core.result import Item, ItemStatus

NAME = "SystemVerification"
VERSIONS = (r"5\.4", r"5\.10", r"5\.15", r"([6-9]|[1-9][0-9]+)\.[0-9]+\.[0-9]+")

# `|` separates two names, either of which is enough.
OPTIONS = (
    *("NAMESPACES", "NET_NS", "PID_NS", "IPC_NS", "UTS_NS", "CPUSETS", "MEMCG", "INET", "EXT4_FS", "PROC_FS"),
    *("NETFILTER_XT_TARGET_REDIRECT|IP_NF_TARGET_REDIRECT", "NETFILTER_XT_MATCH_COMMENT", "FAIR_GROUP_SCHED"),
)

OPTIONS_V1 = ("CGROUPS", "CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER", "CGROUP_PIDS", "CGROUP_SCHED")
OPTIONS_V2 = ("CGROUPS", "CGROUP_BPF", "CGROUP_PIDS", "CGROUP_SCHED")
KERNEL_OPTIONS = "|".join(dict.fromkeys((*OPTIONS, *OPTIONS_V1, *OPTIONS_V2)))
CGROUP_V2_FILE, CGROUP_V1_FILE = "/sys/fs/cgroup/cgroup.controllers", "/proc/cgroups"
REQUIRED_V1 = ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
REQUIRED_V2 = ("cpu", "cpuset", "memory", "pids")  # devices and freezer are in every kernel that is new enough
OPTIONAL_V1, OPTIONAL_V2 = ("hugetlb", "blkio"), ("hugetlb", "io")
CGROUP_V1_REFUSED_SINCE = (1, 35)  # kubelet's failCgroupV1: KEP-5573
SYSTEM_PROBES = (
    *map(look, (CGROUP_V1_FILE, CGROUP_V2_FILE)),
    want_module("configs"),
    find_kernel_options(KERNEL_OPTIONS),
)


class Verdict(NamedTuple):
    """The errors and warnings of kubeadm's library, each a text and its next step."""

    errors: Sequence[tuple[str, str]] = ()
    warnings: Sequence[tuple[str, str]] = ()


def check_system(node: CheckInputs) -> Iterator[Item]:
    """Check everything that kubeadm reports under this one name."""
    facts = node.facts
    found = [_check_release(facts), _check_configuration(facts), _check_cgroups(facts, kubernetes_version(node.host))]
    errors = [each for verdict in found for each in verdict.errors]
    warnings = [each for verdict in found for each in verdict.warnings]
    status = ItemStatus.DRIFT if errors else ItemStatus.ADVISORY if warnings else ItemStatus.OK
    shown = errors or warnings
    got = "; ".join(text for text, _ in shown) or f"kernel {facts.kernel}, cgroup v{2 if _is_v2(facts) else 1}"
    why = "; ".join(text for text, _ in warnings) if errors else ""
    step = "; ".join(dict.fromkeys(step for _, step in shown if step))
    yield check_item(NAME, status, "a kernel and control groups that kubeadm accepts", got, why=why, step=step)


def _check_release(facts: Facts) -> Verdict:
    if any(re.match(version, facts.kernel) for version in VERSIONS):
        return Verdict()
    step = "boot a kernel that kubeadm accepts: 5.4, 5.10, 5.15, or 6.0 and newer"
    return Verdict([(f"unsupported kernel release {facts.kernel}", step)])


def _check_configuration(facts: Facts) -> Verdict:
    lines = facts.extra_sections.get("options", ())
    if not lines:
        return _configuration_not_found(facts)
    if lines[0].startswith("x"):
        return Verdict(
            warnings=[(f"{lines[0][1:]} is readable by root only", "verify it as root: fab -H root@NODE verify")]
        )
    enabled = {line.removeprefix("CONFIG_").partition("=")[0] for line in lines[1:] if line[-2:] in ("=y", "=m")}
    required = (*OPTIONS, *(OPTIONS_V2 if _is_v2(facts) else OPTIONS_V1))
    missing = ["CONFIG_" + names.partition("|")[0] for names in required if not enabled & set(names.split("|"))]
    step = "boot a kernel that is built with them"
    return Verdict([(f"{lines[0][1:]} lacks {' '.join(missing)}", step)]) if missing else Verdict()


def _configuration_not_found(facts: Facts) -> Verdict:
    """kubeadm loads the module `configs` in this case, and refuses the node if there is none."""
    if facts.module("configs") is not ModuleState.MISSING:
        return Verdict(warnings=[("the kernel's configuration shows only once the module configs is loaded", "")])
    step = f"put the kernel's configuration at {shlex.quote(f'/boot/config-{facts.kernel}')}"
    return Verdict([("the kernel's configuration is in no file", step)])


def _is_v2(facts: Facts) -> bool:
    return facts.values.get(CGROUP_V2_FILE) is not None


def _check_cgroups(facts: Facts, kubernetes: tuple[int, int] | None) -> Verdict:
    if _is_v2(facts):
        return _check_controllers((facts.values[CGROUP_V2_FILE] or "").split(), REQUIRED_V2, OPTIONAL_V2)
    enabled = [words[0] for line in facts.texts(CGROUP_V1_FILE) if len(words := line.split()) >= 4 and words[3] != "0"]
    verdict = _check_controllers(enabled, REQUIRED_V1, OPTIONAL_V1)
    old = [("cgroup v1", "boot with systemd.unified_cgroup_hierarchy=1, or a newer release")]
    if kubernetes is not None and kubernetes < CGROUP_V1_REFUSED_SINCE:
        return Verdict(verdict.errors, [*old, *verdict.warnings])
    return Verdict([*old, *verdict.errors], verdict.warnings)


def _check_controllers(enabled: Collection[str], required: Sequence[str], optional: Sequence[str]) -> Verdict:
    missing = [name for name in required if name not in enabled]
    missing_optional = [name for name in optional if name not in enabled]
    step = "enable them: see cgroup_disable= and cgroup_enable= in /proc/cmdline"
    return Verdict(
        [(f"missing required cgroups: {' '.join(missing)}", step)] if missing else (),
        [(f"missing optional cgroups: {' '.join(missing_optional)}", "")] if missing_optional else (),
    )
