"""The names of the checks before `kubeadm join`, as --ignore takes them.

The names are kubeadm's own, so that they mean the same in --ignore as in its --ignore-preflight-errors. Source:
kubernetes, cmd/kubeadm/app/preflight/checks.go: the Name of each checker, and setHasItemOrAll. The checks that are
made here and those that are left to kubeadm are listed in docs/kubeadm-preflight.md.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from tasks.core.errors import UsageError
from tasks.core.kubeadm.checks import CHECKS
from tasks.core.kubeadm.cluster import CLUSTER_NAMES
from tasks.core.kubeadm.ignores import ALL, parse_inventory_ignores, split_names

IMPLEMENTED = tuple(dict.fromkeys((*(name for check in CHECKS for name in check.names), *CLUSTER_NAMES)))

LEFT_TO_KUBEADM = (
    *("IsPrivilegedUser", "KubernetesVersion", "KubeletVersion", "Service-Kubelet", "Firewalld", "ImagePull"),
    *("HTTPProxy", "HTTPProxyCIDR", "ExternalEtcdVersion", "ExternalEtcdClientCertificates"),
)

_FAMILY = re.compile(r"(port-[0-9]{1,5}|(filecontent|fileavailable|fileexisting|diravailable|service)-.+)\Z")


def parse_ignores(flag: str) -> frozenset[str]:
    """Parse --ignore into names in lower case. Raise UsageError for a name of neither kubeadm nor nodeprep."""
    known = {name.lower(): name for name in (ALL, *IMPLEMENTED, *LEFT_TO_KUBEADM)}
    for name in split_names(flag):
        if name.lower() not in known and not _FAMILY.match(name.lower()):
            raise UsageError(f"--ignore: no check is named {name!r}; {_hint(name, known)}")
    return parse_inventory_ignores(flag)


def _hint(name: str, known: dict[str, str]) -> str:
    nearest = get_close_matches(name.lower(), known, n=1)
    if nearest:
        return f"did you mean {known[nearest[0]]}?"
    return f"the names are {', '.join(sorted(IMPLEMENTED, key=len))}, and {ALL}"
