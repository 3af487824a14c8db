# Runs inside the new root of the busybox flavour: busybox for init, sh, modprobe, sysctl and all else it can do. The two
# services that matter here do at boot what Alpine's do, in Alpine's order (its aports, main/openrc/*.initd).
mkdir -p /etc/init.d /etc/runlevels/boot
cat > /etc/inittab <<'TABLE'
::sysinit:/etc/init.d/rcS
::respawn:/usr/sbin/sshd -D
::restart:/sbin/init
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/umount -a -r
TABLE
cat > /etc/init.d/rcS <<'SCRIPT'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /dev/pts /run/sshd
mount -t devpts devpts /dev/pts
hostname -F /etc/hostname
for service in /etc/runlevels/boot/*; do "$service" start; done
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
SCRIPT
cat > /etc/init.d/modules <<'SCRIPT'
#!/bin/sh
# /etc/modules, then every modules-load.d; no folder masks another.
for file in /etc/modules /etc/modules-load.d/*.conf /run/modules-load.d/*.conf /usr/lib/modules-load.d/*.conf; do
    [ ! -f "$file" ] || sed 's/#.*//' "$file"
done | while read -r module options; do
    # shellcheck disable=SC2086 # words
    [ -z "$module" ] || modprobe -q "$module" $options
done
SCRIPT
cat > /etc/init.d/sysctl <<'SCRIPT'
#!/bin/sh
# The packages' files, those of /etc that may replace them, then /etc/sysctl.conf, then those of /run.
for file in /usr/lib/sysctl.d/*.conf; do
    [ -f "/etc/sysctl.d/${file##*/}" ] || [ -f "/run/sysctl.d/${file##*/}" ] || [ ! -f "$file" ] || sysctl -q -p "$file"
done
for file in /etc/sysctl.d/*.conf; do
    [ -f "/run/sysctl.d/${file##*/}" ] || [ ! -f "$file" ] || sysctl -q -p "$file"
done
for file in /etc/sysctl.conf /run/sysctl.d/*.conf; do
    [ ! -f "$file" ] || sysctl -q -p "$file"
done
SCRIPT
chmod 0755 /etc/init.d/rcS /etc/init.d/modules /etc/init.d/sysctl
ln -s /etc/init.d/modules /etc/init.d/sysctl /etc/runlevels/boot/

usermod -s /bin/sh root
usermod -s /bin/sh admin
usermod -s /bin/sh operator
rm -f /bin/bash /bin/dash /usr/bin/perl*
# Every program that busybox has, wherever it lay; and those that were not there before.
busybox=$(command -v busybox)
"$busybox" --list > /tmp/applets
while read -r applet; do
    [ "$applet" != busybox ] || continue
    place=/usr/bin
    for folder in /usr/sbin /usr/bin; do
        if "$busybox" test -e "$folder/$applet" || "$busybox" test -L "$folder/$applet"; then place=$folder; fi
    done
    "$busybox" ln -sf "$busybox" "$place/$applet"
done < /tmp/applets
for applet in init reboot poweroff halt; do "$busybox" ln -sf "$busybox" "/usr/sbin/$applet"; done
"$busybox" rm -f /tmp/applets
