"""Make the files that tell one node from another, before it boots for the first time: names, keys and logins."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from lab.vm import cpio

# name -> (home, uid), as lab/vm/guest/users.sh creates them; each gid is the uid.
USERS = {"root": ("root", 0), "admin": ("home/admin", 1000), "operator": ("home/operator", 1001)}
OPERATOR_PASSWORD = "lab"
CLIENT_KEY, KNOWN_HOSTS, HOST_KEY = "id_ed25519", "known_hosts", "host_ed25519"


def node_archive(name: str, client: str, host_key: Path) -> bytes:
    """Return a node's own files as an archive, which its initramfs copies to a new disk.

    name: the host name. client: the public key, `TYPE BASE64 COMMENT`, that logs in as any user. host_key: the path of
    the node's private key; the public key lies beside it.
    """
    machine = uuid.UUID(bytes=hashlib.sha256(host_key.read_bytes()).digest()[:16], version=4).hex
    public = host_key.with_name(host_key.name + ".pub").read_bytes()
    texts = {
        "hostname": f"{name}\n",
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n",
        "machine-id": f"{machine}\n",
        "lab-node": f"{name}\n",
    }
    return cpio.archive(
        [
            *(cpio.folder(path) for path in ("node", "node/etc", "node/etc/ssh", "node/home")),
            *(cpio.file(f"node/etc/{path}", text.encode()) for path, text in texts.items()),
            cpio.file("node/etc/ssh/ssh_host_ed25519_key", host_key.read_bytes(), 0o600),
            cpio.file("node/etc/ssh/ssh_host_ed25519_key.pub", public),
            *(entry for home, uid in USERS.values() for entry in _login(home, uid, client)),
        ]
    )


def _login(home: str, uid: int, client: str) -> list[cpio.Entry]:
    return [
        cpio.folder(f"node/{home}", 0o700, uid),
        cpio.folder(f"node/{home}/.ssh", 0o700, uid),
        cpio.file(f"node/{home}/.ssh/authorized_keys", f"{client}\n".encode(), 0o600, uid),
    ]
