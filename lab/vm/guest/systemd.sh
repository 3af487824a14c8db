# Runs inside the new root of a systemd flavour: the network, and what only costs time on a node that lives minutes.
cat > /etc/systemd/system/lab-network.service <<'UNIT'
[Unit]
Description=Static address of a lab node
DefaultDependencies=no
After=systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service
Before=network.target
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip link set lo up; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2'

[Install]
WantedBy=multi-user.target
UNIT
systemctl enable lab-network.service

# The ssh banner is the sign that a node is up, so nothing that a login needs may start after it.
mkdir -p /etc/systemd/system/ssh.service.d
cat > /etc/systemd/system/ssh.service.d/lab.conf <<'UNIT'
[Unit]
After=systemd-user-sessions.service systemd-sysctl.service systemd-modules-load.service
UNIT

for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer man-db.timer logrotate.timer systemd-tmpfiles-clean.timer systemd-timesyncd.service \
    systemd-pstore.service systemd-udev-settle.service systemd-networkd.service systemd-resolved.service \
    sshd-keygen.service ldconfig.service systemd-hwdb-update.service dev-hugepages.mount \
    sys-kernel-tracing.mount sys-kernel-debug.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
    modprobe@fuse.service modprobe@loop.service proc-sys-fs-binfmt_misc.automount systemd-firstboot.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-machine-id-commit.service getty@.service getty-static.service serial-getty@.service; do
    systemctl mask "$unit"
done
systemctl set-default multi-user.target

# Newer than /usr, so that no "update of /etc is needed" unit runs on the first boot.
touch /etc/.updated /var/.updated
