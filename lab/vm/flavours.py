"""The table of node flavours the lab can build."""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import LabUsageError

_COMMON = ("openssh-server", "kmod", "procps", "iproute2", "sudo", "linux-image-cloud-amd64")
_SYSTEMD = ("systemd-sysv", "dbus", *_COMMON)
_OPENRC = ("openrc", "sysvinit-core", "initscripts", *_COMMON)
_BUSYBOX = ("busybox-static", *_COMMON)


@dataclass(frozen=True, slots=True)
class Flavour:
    """One kind of node: what is installed, and which scripts of lab/vm/guest shape it, in their order."""

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


def flavour_named(name: str) -> Flavour:
    """The flavour of that name. Raises LabUsageError with the names there are."""
    if name not in FLAVOURS:
        raise LabUsageError(f"no release {name!r} in the lab; there are: {', '.join(FLAVOURS)}")
    return FLAVOURS[name]
