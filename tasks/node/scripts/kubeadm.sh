# shellcheck shell=sh
# shellcheck disable=SC2154 # mark, release, options and listeners come from the other parts
# Read what only verify asks for kubeadm's checks. Three processes: date, and a grep each for the kernel's configuration
# and for listeners. Writes nothing.

# there PATH: report whether it exists. It is not read, for it may hold a token.
there() { if [ -e "$1" ]; then say "x$1"; else say "a$1"; fi; }

# configured: report the first place where kubeadm looks for the kernel's configuration (n if it is not a file, x if it is not
# readable, else r), and the requested options in it. Whoever built the kernel may own the last two places.
configured() {
  for place in /proc/config.gz "/boot/config-$release" "/usr/src/linux-$release/.config" /usr/src/linux/.config \
    "/usr/lib/modules/$release/config" "/usr/lib/ostree-boot/config-$release" "/usr/lib/kernel/config-$release" \
    "/usr/src/linux-headers-$release/.config" "/lib/modules/$release/build/.config"; do
    [ -e "$place" ] || continue
    [ -f "$place" ] || { echo "n$place"; return; } # a FIFO would be read for ever
    [ -r "$place" ] || { echo "x$place"; return; }
    echo "r$place"
    case $place in
      *.gz) gzip -dc "$place" 2>/dev/null | grep -E "^CONFIG_($options)=" ;;
      *) run grep -E "^CONFIG_($options)=" "$place" ;;
    esac
    return
  done
}

ready() {
  echo "$mark clock"
  date +%s
  echo "$mark options"
  configured
  echo "$mark listeners"
  run grep -sHE "$listeners" /proc/net/tcp /proc/net/tcp6 /proc/net/unix /var/lib/kubelet/config.yaml \
    /etc/kubernetes/kubelet-config.yaml /var/lib/kubelet/kubeadm-flags.env /etc/default/kubelet /etc/sysconfig/kubelet \
    /etc/systemd/system/kubelet.service /etc/systemd/system/kubelet.service.d/10-kubeadm.conf
}
