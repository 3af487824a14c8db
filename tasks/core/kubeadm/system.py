"""The check SystemVerification: the kernel's release, its configuration, and the control groups.

Source: kubernetes/system-validators, kernel_validator.go and cgroup_validator_linux.go. The rules that change with its
version are in system_rules.py. tests/lab/test_validators.py compares this with the library on real kernels.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tasks.core.facts import Facts, ModuleState
from tasks.core.kubeadm.inputs import CheckInputs, check_item, kubernetes_version, parse_version
from tasks.core.kubeadm.system_rules import KERNEL_OPTIONS, OPTIONS, Rules, find_rules
from tasks.core.protocol.instructions import check_presence, find_kernel_options, look, want_module
from tasks.core.result import Item, ItemStatus

NAME = "SystemVerification"
CGROUP_V2_FILE, CGROUP_V1_FILE = "/sys/fs/cgroup/cgroup.controllers", "/proc/cgroups"
REQUIRED_V1 = ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
REQUIRED_V2 = ("cpu", "cpuset", "freezer", "memory", "pids")  # kubeadm takes devices for granted
OPTIONAL_V1, OPTIONAL_V2 = ("hugetlb", "blkio"), ("hugetlb", "io")
FREEZER_SINCE = (5, 2)  # cgroup v2's freezer is not a controller, and in every kernel from here on
FREEZER_FILE = "/sys/fs/cgroup/init.scope/cgroup.freeze"  # RHEL 8 has it in its 4.18; init.scope is systemd's
SYSTEM_PROBES = (
    *map(look, (CGROUP_V1_FILE, CGROUP_V2_FILE)),
    check_presence(FREEZER_FILE),
    want_module("configs"),
    find_kernel_options(KERNEL_OPTIONS),
)


class Verdict(NamedTuple):
    """The errors and warnings of kubeadm's library, each a text and its next step."""

    errors: Sequence[tuple[str, str]] = ()
    warnings: Sequence[tuple[str, str]] = ()


def check_system(node: CheckInputs) -> Iterator[Item]:
    """Check everything that kubeadm reports under this one name."""
    facts, rules = node.facts, find_rules(kubernetes_version(node.host))
    found = [_check_release(facts, rules), _check_configuration(facts, rules), _check_cgroups(facts, rules)]
    errors = [each for verdict in found for each in verdict.errors]
    warnings = [each for verdict in found for each in verdict.warnings]
    status = ItemStatus.DRIFT if errors else ItemStatus.ADVISORY if warnings else ItemStatus.OK
    shown = errors or warnings
    got = "; ".join(text for text, _ in shown) or f"kernel {facts.kernel}, cgroup v{2 if _is_v2(facts) else 1}"
    why = "; ".join(text for text, _ in warnings) if errors else ""
    step = "; ".join(dict.fromkeys(step for _, step in shown if step))
    yield check_item(NAME, status, "a kernel and control groups that kubeadm accepts", got, why=why, step=step)


def _verdict(status: ItemStatus, text: str, step: str) -> Verdict:
    found = [(text, step)]
    return Verdict(errors=found) if status is ItemStatus.DRIFT else Verdict(warnings=found)


def _check_release(facts: Facts, rules: Rules) -> Verdict:
    if any(re.match(pattern, facts.kernel) for pattern in rules.releases):
        return Verdict()
    refused = rules.unlisted is ItemStatus.DRIFT
    step = "boot a kernel that kubeadm accepts" if refused else "kubeadm only warns; the kernels that it lists"
    return _verdict(rules.unlisted, f"unsupported kernel release {facts.kernel}", f"{step}: {rules.listed}")


def _check_configuration(facts: Facts, rules: Rules) -> Verdict:
    lines = facts.extra_sections.get("options", ())
    if not lines:
        return _configuration_not_found(facts)
    if lines[0].startswith("n"):
        return Verdict([(f"{lines[0][1:]} is not a file", "put the kernel's configuration there, or remove it")])
    if lines[0].startswith("x"):
        return Verdict(
            warnings=[(f"{lines[0][1:]} is readable by root only", "verify it as root: fab -H root@NODE verify")]
        )
    enabled = {line.removeprefix("CONFIG_").partition("=")[0] for line in lines[1:] if line[-2:] in ("=y", "=m")}
    required = (*OPTIONS, *(rules.options_v2 if _is_v2(facts) else rules.options_v1))
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


def _check_cgroups(facts: Facts, rules: Rules) -> Verdict:
    if _is_v2(facts):
        freezer = ["freezer"] if not rules.freezer or _has_freezer(facts) else []
        return _check_controllers([*(facts.values[CGROUP_V2_FILE] or "").split(), *freezer], REQUIRED_V2, OPTIONAL_V2)
    enabled = [words[0] for line in facts.texts(CGROUP_V1_FILE) if len(words := line.split()) >= 4 and words[3] != "0"]
    verdict = _check_controllers(enabled, REQUIRED_V1, OPTIONAL_V1)
    if rules.cgroup_v1 is ItemStatus.OK:
        return verdict
    old = _verdict(rules.cgroup_v1, "cgroup v1", _unified_hierarchy(facts))
    return Verdict([*old.errors, *verdict.errors], [*old.warnings, *verdict.warnings])


def _has_freezer(facts: Facts) -> bool:
    return (parse_version(facts.kernel) or (0, 0)) >= FREEZER_SINCE or facts.exists(FREEZER_FILE)


def _unified_hierarchy(facts: Facts) -> str:
    """Return the step that brings cgroup v2, by the node's init system."""
    if "/run/systemd/system" in facts.present:
        return "boot with systemd.unified_cgroup_hierarchy=1, or a newer release"
    if "/run/openrc" in facts.present:
        return 'set rc_cgroup_mode="unified" in /etc/rc.conf, then reboot'
    return "mount cgroup2 alone at /sys/fs/cgroup, as the node's init system does it, or boot a newer release"


def _check_controllers(enabled: Collection[str], required: Sequence[str], optional: Sequence[str]) -> Verdict:
    missing = [name for name in required if name not in enabled]
    missing_optional = [name for name in optional if name not in enabled]
    step = "enable them: see cgroup_disable= and cgroup_enable= in /proc/cmdline"
    return Verdict(
        [(f"missing required cgroups: {' '.join(missing)}", step)] if missing else (),
        [(f"missing optional cgroups: {' '.join(missing_optional)}", "")] if missing_optional else (),
    )
