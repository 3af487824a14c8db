"""Describe the kernel that a node of the fleet pretends to run: Debian 12's, as far as nodeprep looks at it.

Every key of the Kubernetes recipe has a value here that the recipe changes.
"""

from __future__ import annotations

import platform

RELEASE = "6.1.0-fleet"
VERSION = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.147-1 (2025-08-02)"
CMDLINE = f"BOOT_IMAGE=/boot/vmlinuz-{RELEASE} root=/dev/vda1 ro quiet"
PRELOADED = ("virtio_net", "net_failover", "failover")
BUILTIN = (
    "kernel/fs/ext4/ext4.ko",
    "kernel/fs/jbd2/jbd2.ko",
    "kernel/fs/mbcache.ko",
    "kernel/fs/configfs/configfs.ko",
    "kernel/net/unix/unix.ko",
    "kernel/net/ipv6/ipv6.ko",
    "kernel/drivers/tty/serial/8250/8250.ko",
)

# name -> (folder, the modules that it needs directly). nf_conntrack_ipv4 is missing: Linux has none since 4.19.
_MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "overlay": ("fs/overlayfs", ()),
    "llc": ("net/llc", ()),
    "stp": ("net/802", ("llc",)),
    "bridge": ("net/bridge", ("stp", "llc")),
    "br_netfilter": ("net/bridge", ("bridge",)),
    "libcrc32c": ("lib", ()),
    "nfnetlink": ("net/netfilter", ()),
    "nf_defrag_ipv4": ("net/ipv4/netfilter", ()),
    "nf_defrag_ipv6": ("net/ipv6/netfilter", ()),
    "nf_conntrack": ("net/netfilter", ("nf_defrag_ipv6", "libcrc32c", "nf_defrag_ipv4")),
    "nf_tables": ("net/netfilter", ("nfnetlink", "libcrc32c")),
    "ip_vs": ("net/netfilter/ipvs", ("nf_conntrack",)),
    "ip_vs_rr": ("net/netfilter/ipvs", ("ip_vs",)),
    "ip_vs_wrr": ("net/netfilter/ipvs", ("ip_vs",)),
    "ip_vs_wlc": ("net/netfilter/ipvs", ("ip_vs",)),
    "ip_vs_sh": ("net/netfilter/ipvs", ("ip_vs",)),
    "failover": ("net/core", ()),
    "net_failover": ("drivers/net", ("failover",)),
    "virtio_net": ("drivers/net", ("net_failover",)),
}

# The keys that appear with a module. Real kernels start bridge-nf-call-* with 1; with 0 an apply has work to do.
_KEYS_OF_MODULE: dict[str, dict[str, str]] = {
    "br_netfilter": {
        "/proc/sys/net/bridge/bridge-nf-call-arptables": "0",
        "/proc/sys/net/bridge/bridge-nf-call-ip6tables": "0",
        "/proc/sys/net/bridge/bridge-nf-call-iptables": "0",
        "/proc/sys/net/bridge/bridge-nf-filter-pppoe-tagged": "0",
        "/proc/sys/net/bridge/bridge-nf-filter-vlan-tagged": "0",
        "/proc/sys/net/bridge/bridge-nf-pass-vlan-input-dev": "0",
    },
    "nf_conntrack": {
        "/proc/sys/net/netfilter/nf_conntrack_max": "262144",
        "/proc/sys/net/netfilter/nf_conntrack_buckets": "65536",
        "/proc/sys/net/netfilter/nf_conntrack_count": "0",
        "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal": "0",
        "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait": "60",
        "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established": "432000",
        "/proc/sys/net/nf_conntrack_max": "262144",
        "/sys/module/nf_conntrack/parameters/hashsize": "65536",
    },
    "ip_vs": {
        "/proc/sys/net/ipv4/vs/conn_reuse_mode": "1",
        "/proc/sys/net/ipv4/vs/conntrack": "0",
        "/proc/sys/net/ipv4/vs/expire_nodest_conn": "0",
        "/proc/sys/net/ipv4/vs/expire_quiescent_template": "0",
        "/proc/sys/net/ipv4/vs/sync_threshold": "3\t50",
    },
}

_ARP = {"arp_announce": "0", "arp_ignore": "0", "forwarding": "0", "rp_filter": "0"}
_IPV6 = {"disable_ipv6": "0", "forwarding": "0"}
_INTERFACES = ("all", "default", "lo", "eth0")

_SYS: dict[str, str] = {
    "kernel/arch": platform.machine(),
    "kernel/cap_last_cap": "40",
    "kernel/core_uses_pid": "0",
    "kernel/msgmax": "8192",
    "kernel/msgmnb": "16384",
    "kernel/ngroups_max": "65536",
    "kernel/osrelease": RELEASE,
    "kernel/ostype": "Linux",
    "kernel/overflowgid": "65534",
    "kernel/overflowuid": "65534",
    "kernel/panic": "0",
    "kernel/panic_on_oops": "0",
    "kernel/pid_max": "4194304",
    "kernel/shmall": "18446744073692774399",
    "kernel/shmmax": "18446744073692774399",
    "kernel/sysrq": "438",
    "kernel/threads-max": "15731",
    "kernel/version": VERSION,
    "fs/file-max": "9223372036854775807",
    "fs/inotify/max_user_instances": "128",
    "fs/inotify/max_user_watches": "14939",
    "fs/nr_open": "1048576",
    "fs/protected_fifos": "1",
    "fs/protected_hardlinks": "1",
    "fs/protected_regular": "2",
    "fs/protected_symlinks": "1",
    "user/max_user_namespaces": "7865",
    "vm/max_map_count": "65530",
    "vm/overcommit_memory": "0",
    "vm/panic_on_oom": "0",
    "vm/swappiness": "60",
    "net/core/netdev_max_backlog": "1000",
    "net/core/rmem_default": "212992",
    "net/core/rmem_max": "212992",
    "net/core/somaxconn": "4096",
    "net/core/wmem_default": "212992",
    "net/core/wmem_max": "212992",
    "net/ipv4/ip_forward": "0",
    "net/ipv4/ip_local_port_range": "32768\t60999",
    "net/ipv4/ip_local_reserved_ports": "",
    "net/ipv4/tcp_fin_timeout": "60",
    "net/ipv4/tcp_keepalive_intvl": "75",
    "net/ipv4/tcp_keepalive_probes": "9",
    "net/ipv4/tcp_keepalive_time": "7200",
    "net/ipv4/tcp_max_orphans": "8192",
    "net/ipv4/tcp_max_syn_backlog": "128",
    "net/ipv4/tcp_max_tw_buckets": "8192",
    "net/ipv4/tcp_mem": "21651\t28870\t43302",
    "net/ipv4/tcp_rmem": "4096\t131072\t6291456",
    "net/ipv4/tcp_synack_retries": "5",
    "net/ipv4/tcp_syncookies": "0",
    "net/ipv4/tcp_tw_reuse": "2",
    "net/ipv4/tcp_wmem": "4096\t16384\t4194304",
    **{f"net/ipv4/conf/{name}/{key}": value for name in _INTERFACES for key, value in _ARP.items()},
    **{f"net/ipv6/conf/{name}/{key}": value for name in _INTERFACES for key, value in _IPV6.items()},
}


def path_of(module: str) -> str:
    """Return a module's path below /lib/modules/RELEASE."""
    return f"kernel/{_MODULES[module][0]}/{module}.ko.xz"


def _needs(module: str) -> list[str]:
    """Return all modules that a module needs, in modules.dep's order: the first to be loaded stands last."""
    found: list[str] = []
    for direct in _MODULES[module][1]:
        for name in (direct, *_needs(direct)):
            if name in found:
                found.remove(name)
            found.append(name)
    return found


def _dep_line(module: str) -> str:
    return f"{path_of(module)}:" + "".join(f" {path_of(name)}" for name in _needs(module)) + "\n"


def library() -> dict[str, str]:
    """Return path -> text of all files below /lib/modules/RELEASE. The modules themselves are empty."""
    return {
        "modules.dep": "".join(map(_dep_line, _MODULES)),
        "modules.builtin": "".join(f"{path}\n" for path in BUILTIN),
        "modules.order": "".join(f"{path_of(module).removesuffix('.xz')}\n" for module in _MODULES),
        "modules.alias": "",
        "modules.symbols": "",
        "modules.softdep": "",
        **{path_of(module): "" for module in _MODULES},
    }


def arrivals() -> dict[str, str]:
    """Return module -> the shell commands with which modprobe.sh makes the module's keys appear."""
    return {module: _commands(files) for module, files in _KEYS_OF_MODULE.items()}


def _commands(files: dict[str, str]) -> str:
    folders = sorted({path.rpartition("/")[0] for path in files})
    lines = [f"mkdir -p {' '.join(folders)}", *(f"echo '{value}' >{path}" for path, value in files.items())]
    return "\n".join(lines) + "\n"


_OPTIONS = (
    *("NAMESPACES", "NET_NS", "PID_NS", "IPC_NS", "UTS_NS", "CPUSETS", "MEMCG", "INET", "PROC_FS", "FAIR_GROUP_SCHED"),
    *("CGROUPS", "CGROUP_BPF", "CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER", "CGROUP_PIDS", "CGROUP_SCHED"),
)
_OPTIONAL = ("EXT4_FS", "NETFILTER_XT_TARGET_REDIRECT", "NETFILTER_XT_MATCH_COMMENT")
SSHD = (
    "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1146 1 0 100 0 0 10 0"
)
CONTAINERD = "0000000000000000: 00000002 00000000 00010000 0001 01 21519 /run/containerd/containerd.sock"


def ready(release: str = RELEASE) -> dict[str, str]:
    """Return path -> text of the files below the root that make a node ready for kubeadm.

    They show a kernel that is built for it, control groups v2, no swap, no taken ports, and containerd that listens.
    """
    options = [*(f"CONFIG_{name}=y" for name in _OPTIONS), *(f"CONFIG_{name}=m" for name in _OPTIONAL)]
    unix = "Num       RefCount Protocol Flags    Type St Inode Path"
    return {
        f"boot/config-{release}": "\n".join([*options, "# CONFIG_AUFS_FS is not set", ""]),
        "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
        "proc/swaps": "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
        "proc/net/tcp": f"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n{SSHD}\n",
        "proc/net/tcp6": "  sl  local_address                         remote_address                        st\n",
        "proc/net/unix": f"{unix}\n{CONTAINERD}\n",
        CONTAINERD.rpartition(" /")[2]: "",
    }


def proc(hostname: str, boot_id: str) -> dict[str, str]:
    """Return path -> text of the files below a node's /proc that are its own."""
    modules = "".join(f"{name} 57344 0 - Live 0x0000000000000000\n" for name in PRELOADED)
    own = {"kernel/hostname": hostname, "kernel/domainname": "(none)", "kernel/random/boot_id": boot_id}
    keys = {f"sys/{path}": f"{value}\n" for path, value in {**_SYS, **own}.items()}
    version = f"Linux version {RELEASE} (debian-kernel@lists.debian.org) {VERSION}\n"
    return {"modules": modules, "cmdline": f"{CMDLINE}\n", "version": version, **keys}
