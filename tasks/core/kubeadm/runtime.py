"""The check CRI: a container runtime listens on its socket.

/proc/net/unix alone does not show it. Any user may choose the name of an abstract socket, with blanks and newlines, and
the kernel prints it as it is (net/unix/af_unix.c, unix_seq_show); in a mount namespace of their own, users may bind the
very path. So the line has to match as a whole, and the file has to exist: its folder is root's. kubeadm looks for the
file, too (DetectCRISocket).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.core.facts import Facts
from tasks.core.kubeadm.inputs import CheckInputs, check_item
from tasks.core.protocol.instructions import check_presence
from tasks.core.result import Item, ItemStatus

SOCKETS = {
    "/run/containerd/containerd.sock": "containerd",
    "/run/crio/crio.sock": "CRI-O",
    "/run/cri-dockerd.sock": "cri-dockerd",
}
# Lines of /proc/net/unix: a listening stream socket has the flags 00010000, the type 0001 and the state 01.
_PATHS = f"(/var)?({'|'.join(SOCKETS).replace('.', '[.]')})"
RUNTIME_LISTENERS = f"^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ 00010000 0001 01 +[0-9]+ {_PATHS}$"
RUNTIME_PROBES = tuple(check_presence(f"{folder}{path}") for path in SOCKETS for folder in ("", "/var"))
_LISTENER = re.compile(f"/proc/net/unix:{RUNTIME_LISTENERS[1:-1]}")


def check_runtime(node: CheckInputs) -> Iterator[Item]:
    """Check that one container runtime listens; several are advisory."""
    found = _listening_runtimes(node.facts)
    expected = "a container runtime that listens"
    if not found:
        yield check_item("CRI", ItemStatus.DRIFT, expected, "none", step=_step(node.facts))
    elif len(found) > 1:
        why = "kubeadm asks for its --cri-socket where there are several"
        yield check_item("CRI", ItemStatus.ADVISORY, expected, " and ".join(found), why=why)
    else:
        yield check_item("CRI", ItemStatus.OK, expected, found[0])


def _listening_runtimes(facts: Facts) -> list[str]:
    listening = _listening_paths(facts)
    files = {path for path in SOCKETS if facts.exists(path) or facts.exists(f"/var{path}")}
    return [name for path, name in SOCKETS.items() if path in listening & files]


def _listening_paths(facts: Facts) -> set[str]:
    matches = map(_LISTENER.fullmatch, facts.extra_sections.get("listeners", ()))
    return {match[2] for match in matches if match}


def _step(facts: Facts) -> str:
    if facts.uid and (paths := sorted(_listening_paths(facts))):
        return f"a socket is named {paths[0]}, and no such file is there for this user: fab -H root@NODE verify"
    return "install and start containerd or CRI-O; if that comes later: --ignore CRI"
