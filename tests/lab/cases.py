"""What people do to nodes that were made ready: what undoes our work at the next boot, and what harms nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.lab.suite import MODULES, RECIPE_MODULES, SYSCTL

SYSTEMD = ("bullseye", "bookworm", "trixie")
RELEASES = (*SYSTEMD, "openrc", "busybox")
WITH_MODULES = ("net.bridge.bridge-nf-call-iptables", "net.netfilter.nf_conntrack_max")


@dataclass(frozen=True)
class Loss:
    """What one item is after the boot (`absent`: no such module or key), and which file and line verify must name."""

    after: str
    where: str


@dataclass(frozen=True)
class Case:
    """One thing that is done to an applied node as root.

    lost: what the next boot then takes away, by item; of a damage that takes many, some. On other releases than those
    of `on` it takes nothing, and verify has to be silent. tried: the releases on which it is done; always: those on
    which it is part of `make test`, too.
    """

    name: str
    damage: str
    lost: Mapping[str, Loss] = field(default_factory=dict)
    on: tuple[str, ...] = RELEASES
    tried: tuple[str, ...] = RELEASES
    always: tuple[str, ...] = ("bookworm",)

    def losses(self, release: str) -> Mapping[str, Loss]:
        """What is lost on a release."""
        return self.lost if release in self.on else {}

    def __str__(self) -> str:
        return self.name


PASTED = "/etc/modules-load.d/k8s.conf"
PASTE = f"for m in {' '.join(RECIPE_MODULES)}; do echo modprobe $m; done > {PASTED}"
LOADER = "/etc/systemd/system/systemd-modules-load.service"

CASES = (
    Case(
        "ip_forward=0 in sysctl.conf",  # read before ours on Debian 11 and 12, not at all on 13, and last by scripts
        "echo net.ipv4.ip_forward=0 > /etc/sysctl.conf",
        {"net.ipv4.ip_forward": Loss("0", "/etc/sysctl.conf:1")},
        on=("openrc", "busybox"),
        always=RELEASES,
    ),
    Case(
        "a file that sorts after ours",
        "printf '# mine\\nnet.core.somaxconn=77\\n' > /etc/sysctl.d/zz-late.conf",
        {"net.core.somaxconn": Loss("77", "/etc/sysctl.d/zz-late.conf:2")},
    ),
    Case(
        "the same below run",  # gone at boot
        "mkdir -p /run/sysctl.d; echo net.core.somaxconn=77 > /run/sysctl.d/zz-late.conf",
        on=(),
    ),
    Case(
        "our keys masked",
        f"ln -sf /dev/null {SYSCTL}",
        {"net.ipv4.ip_forward": Loss("0", SYSCTL), "kernel.core_uses_pid": Loss("0", SYSCTL)},
    ),
    Case(
        "our modules masked",
        f"ln -sf /dev/null {MODULES}",
        {name: Loss("absent", MODULES) for name in ("overlay", "ip_vs_sh", *WITH_MODULES)},
    ),
    Case(
        "ip_vs blacklisted",  # it comes as what ip_vs_rr needs; ip_vs_sh is needed by nobody
        "mkdir -p /etc/modprobe.d; printf 'blacklist ip_vs\\nblacklist ip_vs_sh\\n' > /etc/modprobe.d/x.conf",
        {"ip_vs_sh": Loss("absent", "/etc/modprobe.d/x.conf:2")},
        on=SYSTEMD,  # the scripts run plain modprobe, which minds a blacklist for aliases only
    ),
    Case(
        "overlay installed to true",
        "mkdir -p /etc/modprobe.d; echo install overlay /bin/true > /etc/modprobe.d/x.conf",
        {"overlay": Loss("absent", "/etc/modprobe.d/x.conf:1")},
        on=(*SYSTEMD, "openrc"),  # busybox modprobe knows no install lines
    ),
    Case(
        "systemd-modules-load masked",
        "systemctl mask systemd-modules-load.service",
        {name: Loss("absent", LOADER) for name in (*RECIPE_MODULES, *WITH_MODULES)},
        tried=SYSTEMD,
    ),
    Case(
        "the pasted recipe in place of ours",
        f"{PASTE}; rm {MODULES}",
        {name: Loss("absent", f"{PASTED}:{number}") for number, name in enumerate(RECIPE_MODULES, 1)},
    ),
)
# Nothing of this changes what a boot does to the profile's modules and keys; the last also sets what it writes.
HARMLESS = (
    (
        "mkdir -p /etc/sysctl.d; printf 'net.ipv4.ip_forward = 0\\nvm.swappiness = 10\\n' > /etc/sysctl.d/10-app.conf;"
        "printf '#net.core.somaxconn=1\\n;net.core.somaxconn=2\\n\\n' > /etc/sysctl.d/zz-comments.conf"
    ),
    (
        "mkdir -p /etc/modprobe.d; printf 'blacklist floppy\\noptions ip_vs conn_tab_bits=12\\n"
        "install dccp /bin/false\\n' > /etc/modprobe.d/site.conf; echo dummy >> /etc/modules; echo dummy > /etc/modules-load.d/app.conf"
    ),
    (
        "mkdir -p /run/sysctl.d; for f in /etc/sysctl.d/zz-old.conf.bak /etc/sysctl.d/zz-none /run/sysctl.d/zz.conf;"
        "do echo net.ipv4.ip_forward=0 > $f; done; echo modprobe overlay > /etc/modules-load.d/k8s.conf.bak;"
        ": > /etc/modules-load.d/empty.conf"
    ),
    (
        "printf 'net.ipv4.ip_forward = 1\\nnet/core/somaxconn=32768\\nvm.max_map_count=1000000\\n'"
        " > /etc/sysctl.d/zz.conf; echo 1000000 > /proc/sys/vm/max_map_count; echo '-net.none.key = 1' > /etc/sysctl.d/zz-may-miss.conf;"
        "echo 'net.ipv4.conf.*.arp_announce = 2' > /etc/sysctl.d/zz-glob.conf"
    ),
)
