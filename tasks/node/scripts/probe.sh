# shellcheck shell=sh
# shellcheck disable=SC2154 # mark and listeners come from main.sh, which runs last
# Reading the node: builtins where they will do, four processes in all. Writes nothing.

# A node's environment may change ls and grep.
unset TIME_STYLE QUOTING_STYLE BLOCK_SIZE LS_BLOCK_SIZE GREP_OPTIONS

say() { reply="$reply$1
"; }

# look PATH: it is absent (a), there but not a file we may read (x), or its lines come with those of the files (r).
# Not with the builtin read: dash and busybox read a byte at a time, and a number in /proc/sys ends after the first
# read(2), so 65536 would come out as 6.
look() {
  if [ -f "$1" ] && [ -r "$1" ]; then
    say "r$1"
    looked="$looked$1
"
  elif [ -e "$1" ]; then say "x$1"
  else say "a$1"
  fi
}

# want NAME PATTERN: a module to look for; the pattern also matches its name spelled with dashes. One that is loaded is
# in /sys (y), too, and one that the kernel has built in with parameters.
want() {
  wanted="$wanted$1
" patterns="$patterns${patterns:+|}$2"
  [ ! -d "/sys/module/$1" ] || say "y$1"
}

# unit NAME: where systemd has it, as a file (p) or masked (m), and whether the admin alters it with a folder (o).
unit() {
  for place in /etc /usr/local/lib /usr/lib /lib; do
    file=$place/systemd/system/$1
    [ "$place" != /etc ] || [ ! -d "$file.d" ] || say "o$file.d"
    if [ -s "$file" ]; then say "p$file"; return
    elif [ -e "$file" ] || [ -L "$file" ]; then say "m$file"; return
    fi
  done
}

# Who we are, how much memory there is, and of the wanted modules: what each needs, too, and whether it is loaded.
modules() {
  set -- -e '^Uid:.*' -e '^MemTotal:.*' /proc/self/status /proc/meminfo
  [ ! "$patterns" ] || set -- -e "^[^:]*/($patterns)\.ko.*" -e "^($patterns) " "$@" "$tree/modules.builtin" \
    "$tree/modules.dep" /proc/modules
  grep -osHE "$@"
}

# Every file that modprobe, systemd-modules-load and sysctl read at boot: listed, with its lines and their numbers.
# Comments stay behind (they are two thirds of the bytes on Debian), but for the one that tells our files' hash.
configuration() {
  set +f
  set --
  for place in /etc /run /usr/local/lib /usr/lib /lib; do
    [ ! -L "$place" ] || continue
    for kind in modules-load.d sysctl.d modprobe.d; do
      [ ! -d "$place/$kind" ] || set -- "$@" "$place/$kind" "$place/$kind"/*.conf
    done
  done
  set -- "$@" /etc/sysctl.conf /etc/modules /etc/os-release /etc/ufw/ufw.conf /etc/ufw/sysctl.conf
  started= # where there is no systemd: which init scripts load and set
  if [ ! -d /run/systemd/system ]; then
    set -- "$@" /etc/inittab
    for place in /etc/rcS.d/S*kmod /etc/rcS.d/S*procps /etc/runlevels/*/* /sbin/sysctl /usr/sbin/sysctl /sbin/modprobe
    do
      [ ! -e "$place" ] || started="$started$place
"
    done
  fi
  set -f
  # shellcheck disable=SC2086 # a path a line
  ls -ldn "$@" $started 2>/dev/null
  # shellcheck disable=SC2086 # a path a line
  grep -asHn -e '^[[:space:]]*[^#;[:space:]]' -e '^# sha256 of the lines below: ' "$@" $looked
}

# The reply to everything that was looked up and wanted; main.sh ends it. What programs say needs no heads in between, for
# each write becomes a packet: the lines of ls do not begin with a slash, and those of the two greps tell their files.
scan() {
  release=
  IFS= read -r release </proc/sys/kernel/osrelease || :
  tree=/lib/modules/$release
  if [ -d "$tree" ]; then say "t$tree"
  else
    set +f
    for other in /lib/modules/*/modules.dep; do [ ! -e "$other" ] || say "k${other%/*}"; done
    set -f
  fi
  found
  modules
  configuration
  [ -z "$listeners" ] || ready
}

# found: what the builtins have said so far, in one write.
found() {
  printf %s "$mark begin
$reply$mark found
"
}
