"""Replies of the real node scripts, captured."""

from __future__ import annotations

# Taken from the real script on Debian 12 (dash, GNU grep and ls), shortened.
AS_ROOT = "== found\n/proc/self/status:Uid:\t0\t0\t0\t0\n== \n"


DEBIAN = """\
r/proc/sys/kernel/hostname
r/proc/sys/kernel/osrelease
x/proc/sys/net/ipv6
a/run/systemd/container
x/run/systemd/system
r/sys/devices/system/cpu/online
r/proc/sys/net/ipv4/ip_forward
r/proc/sys/net/ipv4/ip_local_port_range
r/proc/sys/net/ipv4/ip_local_reserved_ports
x/proc/sys/net/core/bpf_jit_harden
a/proc/sys/net/bridge/bridge-nf-call-iptables
t/lib/modules/6.1.0-13-amd64
yoverlay
ynf_conntrack
== found
/proc/self/status:Uid:\t1000\t1000\t1000\t1000
/proc/meminfo:MemTotal:        2030916 kB
/proc/modules:overlay
/lib/modules/6.1.0-13-amd64/modules.builtin:kernel/fs/configfs/configfs.ko
/lib/modules/6.1.0-13-amd64/modules.dep:kernel/net/bridge/br_netfilter.ko
/lib/modules/6.1.0-13-amd64/modules.dep:kernel/drivers/vfio/vfio-pci.ko
== found
-rw-r--r-- 1 0 0  159 Nov 23 15:18 /etc/sysctl.d/99-zz-nodeprep-kubernetes.conf
lrwxrwxrwx 1 0 0   14 Jan  1  2023 /etc/sysctl.d/99-sysctl.conf -> ../sysctl.conf
-rw-------. 1 0 0  2355 Apr  9  2023 /etc/sysctl.conf
-rwsr-xr-t+ 1 33 0 3 Apr  9 2023 /etc/modprobe.d/a b.conf
drwxr-xr-x 2 0 0 4096 Apr  9 2023 /etc/modprobe.d/folder.conf
lrwxrwxrwx 1 0 0   21 Sep 20  2023 /etc/os-release -> ../usr/lib/os-release
== found
/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf:2:# sha256 of the lines below: abc
/etc/sysctl.d/99-zz-nodeprep-kubernetes.conf:4:net.ipv4.ip_forward = 1
/etc/os-release:1:PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
/etc/os-release:4:VERSION_ID="12"
/etc/os-release:6:ID=debian
/proc/sys/kernel/hostname:1:node-7
/proc/sys/kernel/osrelease:1:6.1.0-13-amd64
/sys/devices/system/cpu/online:1:0-3,5
/proc/sys/net/ipv4/ip_forward:1:0
/proc/sys/net/ipv4/ip_local_port_range:1:1024\t65535
"""


# From busybox: other columns, the same nine words.
BUSYBOX = """\
== found
/proc/self/status:Uid:\t0\t0\t0\t0
== found
-rw-r--r--    1 0        0               57 Nov 23 15:18 /etc/sysctl.d/99-zz-nodeprep-kubernetes.conf
lrwxrwxrwx    1 0        0               14 Jan  1  2023 /etc/sysctl.d/99-sysctl.conf -> ../sysctl.conf
crw-rw-rw-    1 0        0           1,   3 Jan  1  2023 /etc/sysctl.d/device.conf
"""
