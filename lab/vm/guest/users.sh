# Runs inside the new root of every flavour: the three users, and nothing that belongs to one node only.
passwd -l root
useradd -m -s /bin/bash -u 1000 -U admin
# Debian ships a group "operator" with gid 37, used by nothing; lab/keys.py counts on uid = gid.
groupmod -g 1001 operator
useradd -m -s /bin/bash -u 1001 -g operator -G sudo operator
echo operator:lab | chpasswd
usermod -p '*' admin
echo 'admin ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/lab-admin
chmod 0440 /etc/sudoers.d/lab-admin
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /etc/machine-id /var/lib/dbus/machine-id
mkdir -p /etc/ssh/sshd_config.d
echo 'PasswordAuthentication no' > /etc/ssh/sshd_config.d/00-lab.conf
echo '/dev/vda / ext4 noatime 0 0' > /etc/fstab
