"""The real `fab` on the lab's nodes, and what is really true on them, seen without nodeprep."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.vm.identity import OPERATOR_PASSWORD
from lab.vm.lab import Lab
from lab.vm.node import Node
from tasks.core.kernel import at_least
from tests.ssh.suite import FAB, ROOT, Completed

RECIPE_MODULES = ("overlay", "br_netfilter", "nf_conntrack", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_wlc", "ip_vs_sh")
FLOORS = {
    "kernel.shmmax": "68719476736",
    "kernel.shmall": "4294967296",
    "fs.file-max": "1000000",
    "vm.max_map_count": "500000",
    "net.ipv4.tcp_max_syn_backlog": "1024",
    "net.ipv4.tcp_max_tw_buckets": "3000",
    "net.netfilter.nf_conntrack_buckets": "577680",
    "net.ipv4.ip_local_reserved_ports": "30000-32767,10250",
}
MODULES = "/etc/modules-load.d/nodeprep-kubernetes.conf"
SYSCTL = "/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf"


@dataclass(frozen=True)
class LabSuite:
    """fab with an inventory of the lab's nodes; each logs in as another kind of user, or all as the one given."""

    lab: Lab
    folder: Path
    user: str = ""

    def inventory(self) -> Path:
        """Written anew for each run: a node's port does not change, but the lab's folder is the test's."""
        path = self.folder / "hosts.ini"
        lines = [
            f"{node.name} ansible_host=127.0.0.1 ansible_port={node.port} ansible_user={self.user or node.record.user}"
            for node in self.lab.nodes
        ]
        common = [
            f"ansible_ssh_private_key_file={self.lab.directory}/id_ed25519",
            f"ansible_ssh_common_args=-o UserKnownHostsFile={self.lab.directory}/known_hosts",
            f"ansible_become_password={OPERATOR_PASSWORD}",
            "kubeadm_ignore_preflight_errors=CRI",
        ]
        path.write_text("\n".join(["[nodes]", *lines, "[nodes:vars]", *common, ""]))
        return path

    def fab(self, verb: str, *words: str, on: str = "nodes") -> Completed:
        """Runs fab to its end; JSON on stdout."""
        command = [FAB, "-H", on, verb, *words, "--inventory", str(self.inventory()), "--format", "json"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, env={**os.environ}, timeout=300, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)


def values(node: Node, keys: Iterable[str]) -> dict[str, str]:
    """The values of keys, their blanks folded, read in one login (it costs a second or two on these nodes)."""
    names = list(keys)
    if not names:
        return {}
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


def seen(node: Node, names: Iterable[str]) -> dict[str, str]:
    """Each key's value, and each module's presence: `loaded` or `absent`, like a key that is not there."""
    modules = [name for name in names if "." not in name]
    keys = [name for name in names if "." in name]
    there = loaded(node)
    presence = {name: "loaded" if name in there else "absent" for name in modules}
    return presence | {key: value or "absent" for key, value in values(node, keys).items()}


def as_it_should_be(node: Node) -> dict[str, str]:
    """Checks what an admin would check by hand, without nodeprep; returns every module and key as it is."""
    keys = assigned(node, SYSCTL)
    now = seen(node, [*RECIPE_MODULES, *keys])
    assert len(keys) == 33
    assert {name for name in RECIPE_MODULES if now[name] == "loaded"} == set(RECIPE_MODULES)
    floors = {key: now[key] for key in FLOORS}
    assert {key: now[key] for key in keys} | floors == keys | floors
    assert all(at_least(key, now[key], floor) and at_least(key, now[key], keys[key]) for key, floor in FLOORS.items())
    names = node.run(f"grep -v '^#' {MODULES} | grep .").stdout.split()
    assert names == list(RECIPE_MODULES)
    assert node.run(f"stat -c '%a %U %G %F' {MODULES} {SYSCTL}").stdout == "644 root root regular file\n" * 2
    return now


def state(node: Node) -> str:
    """Every file of the configuration and of /var/lib with mode and hash, every module, and every key that rests."""
    keys = (
        "sysctl -a 2>/dev/null | grep -Ev 'random|dentry-state|inode|file-nr|netdev_budget|ns_last_pid|pty.nr|aio-nr'"
    )
    files = (
        "find /etc /usr/lib/sysctl.d /usr/lib/modules-load.d /root /home /tmp -xdev -type f -printf '%p %m %s %T@\\n'"
    )
    return node.run(f"{files} | sort; cut -d' ' -f1 /proc/modules | sort; {keys}").stdout
