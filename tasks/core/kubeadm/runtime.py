"""The check CRI: a container runtime listens on its socket."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.facts import Facts
from tasks.core.kubeadm.inputs import CheckInputs, check_item
from tasks.core.result import Item, ItemStatus

SOCKETS = {
    "/run/containerd/containerd.sock": "containerd",
    "/run/crio/crio.sock": "CRI-O",
    "/run/cri-dockerd.sock": "cri-dockerd",
}
# Lines of /proc/net/unix: a listening socket has the flag 00010000.
RUNTIME_LISTENERS = rf"^[^ ]+ [^ ]+ [^ ]+ 00010000 .* (/var)?({'|'.join(SOCKETS).replace('.', '[.]')})$"


def check_runtime(node: CheckInputs) -> Iterator[Item]:
    """Check that one container runtime listens; several are advisory."""
    found = _listening_runtimes(node.facts)
    expected = "a container runtime that listens"
    if not found:
        step = "install and start containerd or CRI-O; if that comes later: --ignore CRI"
        yield check_item("CRI", ItemStatus.DRIFT, expected, "none", step=step)
    elif len(found) > 1:
        why = "kubeadm asks for its --cri-socket where there are several"
        yield check_item("CRI", ItemStatus.ADVISORY, expected, " and ".join(found), why=why)
    else:
        yield check_item("CRI", ItemStatus.OK, expected, found[0])


def _listening_runtimes(facts: Facts) -> list[str]:
    ends = {line.rsplit(" ", 1)[-1].removeprefix("/var") for line in facts.extra_sections.get("listeners", ())}
    return [name for path, name in SOCKETS.items() if path in ends]
