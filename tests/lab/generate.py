"""Configurations that no one would write by hand: random lines in random files, for keys and modules of a lab's node.

Everything comes from a seed. Rules are per key and per module, so one configuration of a node holds dozens of them.
"""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

# Harmless, and alike in each boot. Those count that a node's kernel has, and that hold what is written to them.
_KEYS = """
fs.aio-max-nr fs.inotify.max_queued_events fs.lease-break-time fs.mqueue.msg_default fs.mqueue.msg_max
fs.mqueue.queues_max fs.mqueue.msgsize_max fs.epoll.max_user_watches fs.pipe-user-pages-soft fs.dir-notify-enable
fs.mount-max kernel.keys.gc_delay kernel.keys.maxbytes kernel.keys.maxkeys kernel.keys.root_maxbytes
kernel.keys.root_maxkeys kernel.msgmax kernel.msgmnb kernel.msgmni kernel.panic kernel.perf_event_mlock_kb
kernel.printk_ratelimit_burst kernel.pty.max kernel.shmmni kernel.sched_rr_timeslice_ms net.core.dev_weight
net.core.message_burst net.core.message_cost net.core.netdev_budget net.core.netdev_max_backlog net.core.optmem_max
net.core.somaxconn net.core.rmem_max net.core.wmem_max net.core.netdev_tstamp_prequeue net.core.busy_poll
net.core.busy_read net.ipv4.icmp_msgs_burst net.ipv4.icmp_msgs_per_sec net.ipv4.icmp_ratelimit
net.ipv4.igmp_max_memberships net.ipv4.igmp_max_msf net.ipv4.inet_peer_maxttl net.ipv4.inet_peer_minttl
net.ipv4.inet_peer_threshold net.ipv4.ip_default_ttl net.ipv4.ipfrag_max_dist net.ipv4.ipfrag_time
net.ipv4.neigh.default.app_solicit net.ipv4.neigh.default.base_reachable_time_ms net.ipv4.neigh.default.gc_interval
net.ipv4.neigh.default.gc_stale_time net.ipv4.neigh.default.gc_thresh1 net.ipv4.neigh.default.gc_thresh2
net.ipv4.neigh.default.gc_thresh3 net.ipv4.neigh.default.mcast_solicit net.ipv4.neigh.default.proxy_qlen
net.ipv4.neigh.default.ucast_solicit net.ipv4.tcp_base_mss net.ipv4.tcp_challenge_ack_limit net.ipv4.tcp_fin_timeout
net.ipv4.tcp_invalid_ratelimit net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes net.ipv4.tcp_keepalive_time
net.ipv4.tcp_limit_output_bytes net.ipv4.tcp_max_orphans net.ipv4.tcp_max_reordering net.ipv4.tcp_max_syn_backlog
net.ipv4.tcp_max_tw_buckets net.ipv4.tcp_min_rtt_wlen net.ipv4.tcp_notsent_lowat net.ipv4.tcp_orphan_retries
net.ipv4.tcp_probe_interval net.ipv4.tcp_probe_threshold net.ipv4.tcp_reordering net.ipv4.tcp_retries1
net.ipv4.tcp_retries2 net.ipv4.tcp_syn_retries net.ipv4.tcp_synack_retries net.unix.max_dgram_qlen
user.max_cgroup_namespaces user.max_ipc_namespaces user.max_mnt_namespaces user.max_net_namespaces
user.max_pid_namespaces user.max_user_namespaces user.max_uts_namespaces vm.dirty_expire_centisecs
vm.dirty_writeback_centisecs vm.laptop_mode vm.max_map_count vm.page-cluster vm.stat_interval vm.swappiness
vm.vfs_cache_pressure vm.watermark_scale_factor
"""
# Keys that the kernel holds together, as whole cases: what is written to the one shows in the other.
TOGETHER = (
    ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", ("0", "1")),
    ("net.netfilter.nf_conntrack_max", "net.nf_conntrack_max", ("70001", "70002", "70003")),
    ("vm.dirty_background_bytes", "vm.dirty_background_ratio", ("0", "8192", "7")),
    ("vm.overcommit_kbytes", "vm.overcommit_ratio", ("0", "60", "61")),
    ("fs.inotify.max_user_instances", "user.max_inotify_instances", ("201", "202", "203")),
    ("fs.inotify.max_user_watches", "user.max_inotify_watches", ("70001", "70002", "70003")),
)
CONNTRACK = "nf_conntrack"  # it brings two of them
_MODULES = """
dummy ifb bonding 8021q veth macvlan vxlan bridge br_netfilter ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_wlc ip_vs_lc
nf_tables nft_compat nf_nat xt_mark xt_comment xt_multiport xt_addrtype xt_conntrack xt_statistic xt_recent ip_set
xt_set sch_fq sch_htb sch_ingress sch_sfq sch_tbf act_mirred act_police cls_u32 cls_flower em_u32 nfnetlink_log
nf_log_syslog nf_conntrack_netlink overlay fuse loop zram tun tap ip_gre ipip sit ipvlan wireguard geneve
"""
KEYS, MODULES = _KEYS.split(), _MODULES.split()
NAMES = ("05-early", "20-a", "40-b", "60-c", "80-d", "99-e", "99-zz-f", "zz-g")
FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
NULL = "/dev/null"


@dataclass
class Configuration:
    """What is put on a node. files: text by path; links: target by path; arguments: the kernel's."""

    files: dict[str, list[str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    def archive(self) -> bytes:
        """As a tar of the whole, to be unpacked in /."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, lines in self.files.items():
                data = "\n".join(lines).encode()  # the last line has no newline: that has to work, too
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            for path, target in self.links.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
        return buffer.getvalue()

    def about(self, word: str) -> str:
        """Every line that speaks of a key or module, for the message of a test that fails."""
        parts = {word, word.replace(".", "/"), word.replace("_", "-"), word.rpartition(".")[2][:-1]}
        lines = [
            f"{path}: {line}" for path, text in self.files.items() for line in text if any(p in line for p in parts)
        ]
        return "\n".join([*lines, *self.arguments])


def skeleton(chance: random.Random, kind: str, *extra: str) -> Configuration:
    """A family's files, without lines: each name in some folders, now and then masked by an empty file or a link."""
    made = Configuration()
    for name in NAMES:
        for folder in chance.sample(FOLDERS, chance.randint(1, 3)):
            path = f"{folder}/{kind}/{name}.conf"
            match chance.randint(1, 8):
                case 1 if folder != "/usr/lib":
                    made.links[path] = NULL
                case 2 if folder != "/usr/lib":
                    made.files[path] = []
                case _:
                    made.files[path] = ["# generated"]
    return Configuration({**made.files, **{path: ["# generated"] for path in extra}}, made.links)


def key_configuration(chance: random.Random, keys: Mapping[str, int]) -> Configuration:
    """Files that set keys in every way there is. keys: with the values they have now; each may take a few more."""
    made = skeleton(chance, "sysctl.d", "/etc/sysctl.conf", "/etc/sysctl.d/notes.txt")
    writable = [path for path, lines in made.files.items() if lines]
    for key, now in keys.items():
        for _ in range(chance.randint(1, 4)):
            made.files[chance.choice(writable)].append(key_line(chance, key, now + chance.randint(1, 9)))
    for one, other, values in TOGETHER:
        for key in chance.sample((one, other, one, other), 3):
            value = chance.choice(values)
            made.files[chance.choice(writable)].append(f"{key} = {value}")
    made.arguments = [f"sysctl.{key}={keys[key] + 10}" for key in chance.sample(sorted(keys), 4)]
    return made


def key_line(chance: random.Random, key: str, value: int) -> str:
    """One line about a key: mostly an assignment, in one of many spellings."""
    name = chance.choice((key, key, key.replace(".", "/"), f"/{key.replace('.', '/')}", f"-{key}", f"- {key}"))
    assignment = f"{name}{chance.choice(('=', ' = ', ' =', chr(9) + '= '))}{value}"
    return chance.choice(
        (
            *(assignment,) * 8,
            f"  {assignment}  ",
            f"{key}={value:#x}",
            *(f"{pattern(chance, key)} = {value}",) * 3,
            f"-{key}",
            f"# {assignment}",
            f"; {assignment}",
            key,
        )
    )


def pattern(chance: random.Random, key: str) -> str:
    """A pattern that holds the key, and hardly another."""
    parts = key.split(".")
    last = parts[-1]
    place = chance.randrange(1, len(last))
    ends = (f"{last[:place]}?{last[place + 1 :]}", f"{last[:place]}[{last[place]}]{last[place + 1 :]}", f"{last[:-1]}*")
    return chance.choice((".", "/")).join([*parts[:-1], chance.choice(ends)])


def module_configuration(chance: random.Random, modules: Sequence[str]) -> Configuration:
    """Files that load modules and keep them away in every way there is, a way for each module in turn."""
    made = skeleton(chance, "modules-load.d", "/etc/modules")
    made.files |= {"/etc/modprobe.d/generated.conf": ["# generated"], "/usr/lib/modprobe.d/masked.conf": []}
    made.files["/etc/modules-load.d/00-conntrack.conf"] = [CONNTRACK]
    made.links["/etc/modprobe.d/masked.conf"] = NULL
    ways = [*WAYS]
    chance.shuffle(ways)
    for number, module in enumerate(chance.sample(modules, len(modules))):
        ways[number % len(ways)](chance, made, module)
    return made


Way = Callable[[random.Random, Configuration, str], None]


def _told(chance: random.Random, made: Configuration, line: str) -> None:
    paths = [
        path for path, lines in made.files.items() if lines and ("modules-load.d" in path or path == "/etc/modules")
    ]
    made.files[chance.choice(paths)].append(line)


def _spelled(chance: random.Random, module: str) -> str:
    return module.replace("_", "-") if chance.random() < 0.3 else module


def _listed(chance: random.Random, made: Configuration, module: str) -> None:
    _told(chance, made, _spelled(chance, module))


def _saying(*lines: str, listed: bool = True, masked: bool = False) -> Way:
    """A way that has a module listed, and lines of modprobe.d besides; {} is the module."""
    path = "/usr/lib/modprobe.d/masked.conf" if masked else "/etc/modprobe.d/generated.conf"

    def way(chance: random.Random, made: Configuration, module: str) -> None:
        if listed:
            _listed(chance, made, module)
        made.files[path] += [line.replace("{}", _spelled(chance, module)) for line in lines]

    return way


def _pasting(line: str) -> Way:
    """A way that has a line with more than the module's name."""
    return lambda chance, made, module: _told(chance, made, line.replace("{}", module))


def _arguing(argument: str, *, listed: bool) -> Way:
    """A way that goes over the kernel's command line."""

    def way(chance: random.Random, made: Configuration, module: str) -> None:
        if listed:
            _listed(chance, made, module)
        made.arguments.append(f"{argument}={module}")

    return way


WAYS: tuple[Way, ...] = (
    _listed,
    _listed,
    lambda chance, made, module: None,
    _saying("blacklist {}"),
    _saying("blacklist {}", listed=False),
    _saying("blacklist {}", masked=True),
    _saying("blacklist {}*"),
    _saying("install {} /bin/true"),
    _saying("install {} \\", "  /bin/false"),
    _saying("install {} /sbin/modprobe --ignore-install {}"),
    _saying("install {} /bin/false", "install {} /sbin/modprobe --ignore-install {}"),
    _saying("alias {} off"),
    _saying("# blacklist {}"),
    _pasting("modprobe {}"),
    _pasting("{} # needed"),
    _pasting("{} debug=1"),
    _arguing("modules_load", listed=False),
    _arguing("modules-load", listed=False),
    _arguing("modprobe.blacklist", listed=True),
    _arguing("module_blacklist", listed=True),
)
