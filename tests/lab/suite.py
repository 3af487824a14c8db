"""The real `fab` on the lab's nodes, and what is really true on them, seen without nodeprep."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.keys import OPERATOR_PASSWORD
from lab.nodes import Lab, Node
from tests.ssh.suite import FAB, ROOT, Said

LOGINS = ("root", "admin", "operator")
MODULES = "/etc/modules-load.d/nodeprep-kubernetes.conf"
SYSCTL = "/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf"


@dataclass(frozen=True)
class LabSuite:
    """fab with an inventory of the lab's nodes; each logs in as another kind of user."""

    lab: Lab
    folder: Path

    def inventory(self) -> Path:
        """Written anew for each run: a node's port does not change, but the lab's folder is the test's."""
        path = self.folder / "hosts.ini"
        lines = [
            f"{node.name} ansible_host=127.0.0.1 ansible_port={node.port} ansible_user={user}"
            for node, user in zip(self.lab.nodes, LOGINS, strict=False)
        ]
        common = [
            f"ansible_ssh_private_key_file={self.lab.directory}/id_ed25519",
            f"ansible_ssh_common_args=-o UserKnownHostsFile={self.lab.directory}/known_hosts",
            f"ansible_become_password={OPERATOR_PASSWORD}",
            "kubeadm_ignore_preflight_errors=CRI",
        ]
        path.write_text("\n".join(["[nodes]", *lines, "[nodes:vars]", *common, ""]))
        return path

    def fab(self, verb: str, *words: str, on: str = "nodes") -> Said:
        """Runs fab to its end; JSON on stdout."""
        command = [FAB, "-H", on, verb, *words, "--inventory", str(self.inventory()), "--format", "json"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, env={**os.environ}, timeout=300, check=False)
        return Said(done.returncode, done.stdout, done.stderr)


def values(node: Node, keys: Iterable[str]) -> dict[str, str]:
    """The values of keys, their blanks folded, read in one login (it costs a second or two on these nodes)."""
    names = list(keys)
    paths = " ".join(f"/proc/sys/{name.replace('.', '/')}" for name in names)
    lines = node.run(f'for f in {paths}; do echo "=$(cat $f)"; done').stdout.split("\n=")
    return {name: " ".join(text.lstrip("=").split()) for name, text in zip(names, lines, strict=True)}


def value(node: Node, key: str) -> str:
    """One key's value."""
    return values(node, [key])[key]


def assigned(node: Node, path: str) -> dict[str, str]:
    """What a plain sysctl.d file on the node sets."""
    lines = [line for line in node.run(f"cat {path}").stdout.splitlines() if line and line[0] != "#"]
    return {key.strip(): text.strip() for key, _, text in (line.partition("=") for line in lines)}


def loaded(node: Node) -> set[str]:
    """The names in /proc/modules."""
    return {line.split()[0] for line in node.run("cat /proc/modules").stdout.splitlines()}


def state(node: Node) -> str:
    """Every file of the configuration and of /var/lib with mode and hash, every module, and every key that rests."""
    keys = (
        "sysctl -a 2>/dev/null | grep -Ev 'random|dentry-state|inode|file-nr|netdev_budget|ns_last_pid|pty.nr|aio-nr'"
    )
    files = (
        "find /etc /usr/lib/sysctl.d /usr/lib/modules-load.d /root /home /tmp -xdev -type f -printf '%p %m %s %T@\\n'"
    )
    return node.run(f"{files} | sort; cut -d' ' -f1 /proc/modules | sort; {keys}").stdout
