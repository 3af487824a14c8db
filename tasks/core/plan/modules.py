"""Items of wanted modules, with the cause and the remedy for one that is missing. Facts decide, never versions."""

from __future__ import annotations

import re
import shlex

from tasks.core.facts import SYSCTL_ROOT, Facts, ModuleState
from tasks.core.result import Item, ItemStatus, Kind

LOCKDOWN = "/sys/kernel/security/lockdown"  # `none [integrity] confidentiality`: lockdown(7)
RED_HATS = {"fedora", "rhel", "centos", "rocky", "almalinux", "ol", "amzn"}
EXTRA = "install the distribution's package of extra modules for this kernel, or boot a kernel that has it"


def wanted_module(name: str, facts: Facts) -> Item:
    """Return the item of a module that this kernel has: loaded, built in, or still to be loaded."""
    state = facts.module(name)
    if state is not ModuleState.LOADABLE:
        return Item(Kind.MODULE, name, ItemStatus.OK, "loaded", str(state))
    if facts.key("kernel.modules_disabled") == "1":
        why, step = "kernel.modules_disabled is 1: nothing more can be loaded until a reboot", "reboot the node"
        return Item(Kind.MODULE, name, ItemStatus.MISSING, "loaded", "not loaded", why, step)
    return Item(
        Kind.MODULE, name, ItemStatus.DRIFT, "loaded", "not loaded", _possible_refusal(facts), f"modprobe {name}"
    )


def _possible_refusal(facts: Facts) -> str:
    """Return a reason that the kernel may refuse a module that it has, or an empty text."""
    if facts.container:
        return f"a container ({facts.container}): only its host may be able to load it"
    mode = re.search(r"\[(\w+)\]", facts.values.get(LOCKDOWN) or "")
    return f"kernel lockdown is {mode[1]}: only signed modules load" if mode and mode[1] != "none" else ""


def missing_module(name: str, facts: Facts) -> Item:
    """Return the item of a module that this kernel does not have, or that a container cannot load."""
    if facts.container:
        why = f"this node is a container ({facts.container}) and cannot load modules"
        return Item(Kind.MODULE, name, ItemStatus.HOST_MANAGED, "loaded", None, why, f"load {name} on its host")
    why, step = _cause(facts)
    return Item(Kind.MODULE, name, ItemStatus.MISSING, "loaded", None, why, step)


def _cause(facts: Facts) -> tuple[str, str]:
    """Return the cause and the remedy for a module that a kernel does not have."""
    if facts.values.get(f"{SYSCTL_ROOT}kernel/modules_disabled", "") is None:
        return f"kernel {facts.kernel} was built without loadable modules", "boot a kernel that has it"
    if facts.has_module_index:
        return f"kernel {facts.kernel} does not have it", _package(facts)
    gone = f"there is no /lib/modules/{facts.kernel}"
    if facts.other_kernels:
        others = ", ".join(facts.other_kernels)
        why = f"{gone}, but one of {others}: the kernel's package was replaced since the boot"
        return why, "reboot into the installed kernel"
    why = f"{gone}, nor of another kernel: this one was not booted from the node's own packages"
    return why, "install the modules of the running kernel, or boot an installed one"


def _package(facts: Facts) -> str:
    """Return the step that installs the distribution's package with further modules.

    Ubuntu and Red Hat split rarely used modules off; Debian's cloud, Alpine's virt and SUSE's base kernels have fewer.
    """
    release, kernel = facts.os_release, shlex.quote(facts.kernel)
    distribution = release.get("ID", "")
    families = {distribution, *release.get("ID_LIKE", "").split()}
    if distribution == "ubuntu":
        return f"apt install linux-modules-extra-{kernel}"
    if RED_HATS & families:
        return f"dnf install kernel-modules-extra-{kernel}"
    if distribution == "debian" and "-cloud-" in facts.kernel:
        flavour = shlex.quote(facts.kernel.rpartition("-")[2])
        return f"apt install linux-image-{flavour} and boot it: cloud kernels have fewer modules"
    if distribution == "alpine" and facts.kernel.endswith("-virt"):
        return "apk add linux-lts and boot it: virt kernels have fewer modules"
    if "suse" in families:
        return "zypper install kernel-default, in place of kernel-default-base"
    return EXTRA
