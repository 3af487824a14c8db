# Runs inside the new root of the openrc flavour: Debian's own scripts bring it up. The network is the lab's, and what only
# costs time is gone: each service is a shell script of some twenty processes, and OpenRC reads them all twice.
cat > /etc/init.d/lab-network <<'SCRIPT'
#!/bin/sh
### BEGIN INIT INFO
# Provides:          lab-network
# Required-Start:    $local_fs
# Required-Stop:
# X-Start-Before:    ssh
# Default-Start:     2 3 4 5
# Default-Stop:
# Short-Description: Static address of a lab node
### END INIT INFO
[ "$1" = start ] || exit 0
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
SCRIPT
chmod 0755 /etc/init.d/lab-network
update-rc.d lab-network defaults
sed -i '/getty/d' /etc/inittab # there is no terminal
echo 'rc_cgroup_mode="unified"' >> /etc/rc.conf # kubeadm refuses nodes with control groups v1
for service in agetty bootlogs brightness checkfs.sh hwclock.sh mount-configfs mountnfs.sh mountnfs-bootclean.sh rc.local \
    rmnologin sudo udev urandom; do
    rm -f "/etc/init.d/$service" /etc/runlevels/*/"$service"
done
