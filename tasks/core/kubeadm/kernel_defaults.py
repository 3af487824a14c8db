"""The check KubeletKernelDefaults: a kubelet with protectKernelDefaults starts with the values of these keys.

kubeadm does not check it; kubelet ends with an error for each other value. Source: kubernetes,
pkg/kubelet/cm/container_manager_linux.go (setupKernelTunables) and its sysctl package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.core.facts import Facts, key_file
from tasks.core.kubeadm.inputs import CheckInputs, check_item
from tasks.core.kubeadm.sysctl_files import is_true
from tasks.core.protocol.instructions import check_presence, look
from tasks.core.result import Item, ItemStatus

NAME = "KubeletKernelDefaults"
VARIABLE = "kubelet_protect_kernel_defaults"  # Kubespray's
KERNEL_DEFAULTS = {
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.keys.root_maxbytes": "25000000",
}
# kubeadm's and kubeasz's file, Kubespray's, and the places of kubelet's arguments; kubeadm.sh reads them.
KUBELET_FOLDER = "/var/lib/kubelet"
KUBELET_FILES = (
    f"{KUBELET_FOLDER}/config.yaml",
    "/etc/kubernetes/kubelet-config.yaml",
    f"{KUBELET_FOLDER}/kubeadm-flags.env",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
    "/etc/systemd/system/kubelet.service",
    "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
)
KUBELET_LINES = "^[^#]*(protectKernelDefaults|--protect-kernel-defaults)"
KERNEL_DEFAULTS_PROBES = (
    check_presence(KUBELET_FOLDER),
    check_presence(KUBELET_FILES[0]),
    *(look(key_file(key)) for key in KERNEL_DEFAULTS),
)
_PROTECTS = re.compile(
    rf"({'|'.join(KUBELET_FILES)}):"
    r"([ \t{\"]*protectKernelDefaults\"?[ \t]*:[ \t]*\"?(?P<file>true|True|TRUE|yes|on)\b"
    r"|[^#]*--protect-kernel-defaults(?P<flag>=true|=1|=t|[^=a-z-]|$))"
)


def check_kernel_defaults(node: CheckInputs) -> Iterator[Item]:
    """Check the keys if the kubelet's files or the inventory protect them; yield nothing otherwise."""
    expected = "kubelet's own values of 6 keys"
    source = _protected_by(node)
    if not source:
        if _is_hidden(node.facts):
            why = f"only root may look into {KUBELET_FOLDER}: whether protectKernelDefaults is set is not known"
            yield check_item(NAME, ItemStatus.SKIPPED, expected, None, why=why)
        return
    wrong = {key: node.facts.key(key) for key, value in KERNEL_DEFAULTS.items() if node.facts.key(key) != value}
    if not wrong:
        yield check_item(NAME, ItemStatus.OK, expected, expected)
        return
    got = ", ".join(f"{key} is {value or 'absent'}" for key, value in wrong.items())
    lines = ", ".join(f"{key} = {KERNEL_DEFAULTS[key]}" for key in wrong)
    step = f"set them in a profile, then apply: {lines}; or protectKernelDefaults: false"
    yield check_item(
        NAME, ItemStatus.DRIFT, expected, got, why=f"protected by {source}: kubelet would not start", step=step
    )


def _protected_by(node: CheckInputs) -> str:
    """Return the file, or the inventory's variable, that protects the keys; an empty text if nothing is known to."""
    lines = node.facts.extra_sections.get("listeners", ())
    found = next((match[1] for match in map(_PROTECTS.match, lines) if match), "")
    return found or (VARIABLE if is_true(node.host.variables.get(VARIABLE)) else "")


def _is_hidden(facts: Facts) -> bool:
    return facts.uid != 0 and facts.exists(KUBELET_FOLDER) and not facts.exists(KUBELET_FILES[0])
