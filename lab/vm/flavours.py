"""List the flavours of nodes that the lab can build."""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import LabUsageError

_COMMON = ("openssh-server", "kmod", "procps", "iproute2", "sudo", "linux-image-cloud-amd64")
_SYSTEMD = ("systemd-sysv", "dbus", *_COMMON)
_OPENRC = ("openrc", "sysvinit-core", "initscripts", *_COMMON)
_BUSYBOX = ("busybox-static", *_COMMON)


@dataclass(frozen=True, slots=True)
class Flavour:
    """Describe one kind of node.

    suite: the Debian release. packages: those installed beside its essential ones. scripts: those of lab/vm/guest
    that run inside the new root, in their order.
    """

    name: str
    suite: str
    packages: tuple[str, ...] = _SYSTEMD
    scripts: tuple[str, ...] = ("users.sh", "systemd.sh")


FLAVOURS = {
    flavour.name: flavour
    for flavour in (
        Flavour("bullseye", "bullseye"),
        Flavour("bookworm", "bookworm"),
        Flavour("trixie", "trixie"),
        Flavour("openrc", "bookworm", _OPENRC, ("users.sh", "openrc.sh")),
        Flavour("busybox", "bookworm", _BUSYBOX, ("users.sh", "busybox.sh")),
    )
}


def find_flavour(name: str) -> Flavour:
    """Return the flavour with this name. Raises LabUsageError with all names if there is none."""
    if name not in FLAVOURS:
        raise LabUsageError(f"no release {name!r} in the lab; there are: {', '.join(FLAVOURS)}")
    return FLAVOURS[name]
