"""Build the layers of the nodes' roots above this machine's own: one common layer, and one for each node."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab import keys
from lab.fleet import kernel, tools

USERS = ("admin", "operator", "nosudo", "fishy", "chatty")
PASSWORD = "lab"  # of operator and nosudo, for sudo alone; logins need the key
_PASSWORD_HASH = (
    "$6$nodeprepfleet$ETKfCnPR.k0zkasxug3oOqKZzRQCKChDp2h4jY3uUxzIqNm1pP/3SCPOtdhTQ009UkZ17b4J/c9WsYFavhN0B0"
)

# Folders in which a node sees the fleet's files alone, and none of this machine's.
_HIDDEN = (
    "root",
    "home",
    "tmp",
    "run",
    "var/tmp",
    "var/lib",
    "var/log",
    "etc/ssh",
    "etc/sudoers.d",
    "etc/modprobe.d",
    "etc/modules-load.d",
    "etc/sysctl.d",
    "usr/lib/modprobe.d",
    "usr/lib/modules",
    "usr/lib/modules-load.d",
    "usr/lib/sysctl.d",
    "usr/local/lib",
)
# Files that would tell a node that it is a container.
_ABSENT = (".dockerenv", ".containerenv")

_SUDOERS = """\
Defaults env_reset
Defaults mail_badpass
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults use_pty
# /dev is this machine's: without this line its log would fill up with the nodes' sudo
Defaults !syslog
root ALL=(ALL:ALL) ALL
operator ALL=(ALL:ALL) ALL
admin,fishy,chatty ALL=(ALL:ALL) NOPASSWD: ALL
"""

_SSHD_CONFIG = """\
# Debian's defaults, but without the parts of a login that are not SSH (PAM, motd).
HostKey /etc/ssh/ssh_host_rsa_key
HostKey /etc/ssh/ssh_host_ecdsa_key
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile /run/sshd.pid
LogLevel ERROR
AcceptEnv LANG LC_*
"""

_COMMON_FILES = {
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    "etc/sysctl.conf": "#\n# /etc/sysctl.conf - Configuration file for setting system variables\n#\n",
    "etc/modules": "# /etc/modules: kernel modules to load at boot time.\n",
    "usr/lib/sysctl.d/50-pid-max.conf": "kernel.pid_max = 4194304\n",
    "usr/lib/sysctl.d/99-protect-links.conf": (
        "fs.protected_fifos = 1\nfs.protected_hardlinks = 1\nfs.protected_regular = 2\nfs.protected_symlinks = 1\n"
    ),
    "home/chatty/.bashrc": "echo 'Welcome! Today is a good day.'\necho 'bash: warning: nothing is wrong' >&2\n",
}
_COMMON_LINKS = {
    "etc/sysctl.d/99-sysctl.conf": "../sysctl.conf",
    "etc/modules-load.d/modules.conf": "../modules",
}


@dataclass(frozen=True)
class NodeSpec:
    """Describe how one node differs from the others.

    banner: shown before authentication. max_startups: sshd's own `MaxStartups`; such a node runs a listening sshd,
    whose connections are not counted. sshd_config: further lines, which win over the fleet's (no Match blocks). files:
    absolute path -> text of files in the node's root, which win over all others, also in /proc/sys and for
    /proc/meminfo. read_only_sys: mount /proc/sys read-only. sftp: offer the sftp subsystem. shell: the login shell of
    root, admin, operator and nosudo.
    """

    banner: str = ""
    max_startups: str = ""
    sshd_config: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    read_only_sys: bool = False
    sftp: bool = True
    shell: str = "/bin/bash"

    @property
    def flags(self) -> str:
        """Return the node's flags for fleetd, see fleetd.c."""
        return ("d" if self.max_startups else "") + ("r" if self.read_only_sys else "") or "-"


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file with exactly this mode, and its missing folders with 0755, whatever the umask is."""
    make_folder(path.parent)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder with exactly this mode, and its missing parents with 0755. One that is there stays as it is."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir()
    path.chmod(mode)


# ---- the common layer ----


def build_common(root: Path, authorized: str) -> None:
    """Build the layer that all nodes share. authorized: the public key, `TYPE BASE64`, that logs in as any user."""
    _hide(root)
    _users(root)
    _kernel(root)
    _proc_links(root / "proc")
    _sshd(root / "etc" / "ssh", authorized)
    for path, text in _COMMON_FILES.items():
        write(root / path, text)
    for path, target in _COMMON_LINKS.items():
        make_folder((root / path).parent)
        (root / path).symlink_to(target)
    for folder in ("run/sshd", "run/lock", "run/sudo", "run/user", "run/sysctl.d", "run/modules-load.d", ".proc"):
        make_folder(root / folder)


def _hide(root: Path) -> None:
    modes = {"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777}
    for hidden in _HIDDEN:
        make_folder(root / hidden)
        (root / hidden).chmod(modes.get(hidden, 0o755))
        os.setxattr(root / hidden, "trusted.overlay.opaque", b"y")
    for name in _ABSENT:
        os.mknod(root / name, stat.S_IFCHR, os.makedev(0, 0))  # overlayfs's mark of a removed file


def _users(root: Path) -> None:
    numbers = {name: 1001 + i for i, name in enumerate(USERS)}
    write(root / "etc/passwd", passwd("/bin/bash"))
    write(root / "etc/group", _group(numbers))
    write(root / "etc/shadow", _shadow(), 0o640)
    write(root / "etc/sudoers", _SUDOERS, 0o440)
    os.chown(root / "etc/shadow", 0, 42)
    for name, number in numbers.items():
        # fish makes the folders below home when it starts; if they are there already, snapshot() shows nothing new
        for folder in ("", ".config", ".local", ".local/share"):
            make_folder(root / "home" / name / folder)
            os.chown(root / "home" / name / folder, number, number)


def passwd(shell: str) -> str:
    """Return the text of /etc/passwd. shell: of all users that log in, but for fishy and chatty."""
    shells = {"fishy": "/usr/bin/fish", "chatty": "/bin/bash"}
    lines = [
        f"root:x:0:0:root:/root:{shell}",
        "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin",
        "sshd:x:102:65534::/run/sshd:/usr/sbin/nologin",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
        *(f"{u}:x:{1001 + i}:{1001 + i}::/home/{u}:{shells.get(u, shell)}" for i, u in enumerate(USERS)),
    ]
    return "\n".join(lines) + "\n"


def _group(numbers: Mapping[str, int]) -> str:
    system = {"root": 0, "daemon": 1, "tty": 5, "sudo": 27, "shadow": 42, "utmp": 43, "users": 100, "nogroup": 65534}
    return "".join(f"{name}:x:{number}:\n" for name, number in {**system, **numbers}.items())


def _shadow() -> str:
    known = {"operator": _PASSWORD_HASH, "nosudo": _PASSWORD_HASH}
    names = ("root", "daemon", "sshd", "nobody", *USERS)
    return "".join(f"{name}:{known.get(name, '*')}:19000:0:99999:7:::\n" for name in names)


def _kernel(root: Path) -> None:
    library = root / "usr/lib/modules" / kernel.RELEASE
    for path, text in kernel.library().items():
        write(library / path, text)
    for path, text in kernel.ready().items():
        write(root / path, text)
    for module, commands in kernel.arrivals().items():
        write(root / "usr/share/nodeprep-fleet/modules" / module, commands)
    for stub, place in (("modprobe", "usr/sbin/modprobe"), ("rmmod", "usr/sbin/rmmod"), ("uname", "usr/bin/uname")):
        write(root / place, (tools.HERE / f"{stub}.sh").read_text(encoding="utf-8"), 0o755)


def _proc_links(proc: Path) -> None:
    own = {"sys", "modules", "cmdline", "version", "net", "swaps", "config.gz"}
    make_folder(proc)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() and entry.name not in own:
            (proc / entry.name).symlink_to(f"/.proc/{entry.name}")


def _sshd(folder: Path, authorized: str) -> None:
    write(folder / "authorized_keys", f"{authorized}\n")
    shutil.copyfile(tools.rsa_key(), folder / "ssh_host_rsa_key")
    (folder / "ssh_host_rsa_key").chmod(0o600)
    keys.new_ecdsa_key(folder / "ssh_host_ecdsa_key")
    moduli = Path("/etc/ssh/moduli")
    if moduli.exists():
        shutil.copyfile(moduli, folder / "moduli")


# ---- a node's own layer ----


def build_node(upper: Path, hostname: str, spec: NodeSpec) -> str:
    """Build the layer of one node, and return its public host key, `TYPE BASE64`."""
    make_folder(upper)
    for path, text in kernel.proc(hostname, str(uuid.uuid4())).items():
        write(upper / "proc" / path, text)
    write(upper / "etc/hostname", f"{hostname}\n")
    write(upper / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost\n")
    write(upper / "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    write(upper / "etc/ssh/sshd_config", _sshd_config(spec))
    if spec.banner:
        write(upper / "etc/ssh/banner", spec.banner)
    if spec.shell != NodeSpec.shell:
        write(upper / "etc/passwd", passwd(spec.shell))
    for name, text in spec.files.items():
        write(upper / _follow_top_link(name), text)
    return keys.new_key(upper / "etc/ssh/ssh_host_ed25519_key")


def _follow_top_link(name: str) -> Path:
    """Return a path below the root as if no top folder were a link: /lib/x is /usr/lib/x.

    A folder `lib` in the layer would hide this machine's link /lib, and with it every program.
    """
    top, *rest = Path(name).parts[1:]
    link = Path("/", top)
    return Path(link.readlink() if link.is_symlink() else top, *rest)


def _sshd_config(spec: NodeSpec) -> str:
    lines = list(spec.sshd_config)
    if spec.banner:
        lines.append("Banner /etc/ssh/banner")
    if spec.max_startups:
        lines.append(f"MaxStartups {spec.max_startups}")
    if spec.sftp:
        lines.append("Subsystem sftp /usr/lib/openssh/sftp-server")
    return "".join(f"{line}\n" for line in lines) + _SSHD_CONFIG
