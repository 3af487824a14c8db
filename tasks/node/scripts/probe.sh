# shellcheck shell=sh
# shellcheck disable=SC2154 # mark and listeners come from main.sh, which runs last
# Read the node: builtins where they suffice, four processes in all. Writes nothing.

# These variables change the output of ls and grep.
unset TIME_STYLE QUOTING_STYLE BLOCK_SIZE LS_BLOCK_SIZE GREP_OPTIONS

say() { reply="$reply$1
"; }

# look PATH: report it as absent (a), as present but not a readable file (x), or with its lines among those of the files
# (r). Not with the builtin read: dash and busybox read a byte at a time, and a number in /proc/sys ends after the first
# read(2), so 65536 would be read as 6.
look() {
  if [ -f "$1" ] && [ -r "$1" ]; then
    say "r$1"
    looked="$looked$1
"
  elif [ -e "$1" ]; then say "x$1"
  else say "a$1"
  fi
}

# find_path PATTERN: report the first path that matches, if any.
find_path() {
  set +f
  for match in $1; do
    [ ! -e "$match" ] || { say "x$match" && break; }
  done
  set -f
}

# want NAME PATTERN: ask for a module; the pattern also matches its name with dashes. A loaded module is in /sys (y), and
# so is a built-in one with parameters.
want() {
  wanted="$wanted$1
" patterns="$patterns${patterns:+|}$2"
  [ ! -d "/sys/module/$1" ] || say "y$1"
}

# unit NAME: report where systemd has it, as a file (p) or masked (m), and the admin's folders of drop-ins (o). The admin's
# files are read.
unit() {
  for place in /etc /usr/local/lib /usr/lib /lib; do
    file=$place/systemd/system/$1
    case $place in /etc | /usr/local/lib) alterations "$file.d" "$place/systemd/system/service.d" ;; esac
    if [ -s "$file" ]; then
      say "p$file"
      case $place in /etc | /usr/local/lib) look "$file" ;; esac
      return
    elif [ -e "$file" ] || [ -L "$file" ]; then say "m$file"; return
    fi
  done
}

# alterations FOLDER...: report the folders of drop-ins that exist, and read their files.
alterations() {
  for folder; do
    [ -d "$folder" ] || continue
    say "o$folder"
    set +f
    for dropin in "$folder"/*.conf; do [ ! -e "$dropin" ] || look "$dropin"; done
    set -f
  done
}

# modules: report our user, the memory, and of the wanted modules their dependencies and whether they are loaded.
modules() {
  set -- -e '^Uid:.*' -e '^MemTotal:.*' /proc/self/status /proc/meminfo
  [ ! "$patterns" ] || set -- -e "^[^:]*/($patterns)\.ko.*" -e "^($patterns) " "$@" "$tree/modules.builtin" \
    "$tree/modules.dep" /proc/modules
  run grep -osHE "$@"
}

# run PROGRAM...: a program that might not end. In a request that only reads, main.sh can end it.
run() {
  if [ ! "$reading" ]; then "$@"; return; fi
  "$@" &
  wait "$!"
}

# configuration: list every file that modprobe, systemd-modules-load and sysctl read at boot, with its numbered lines.
# Comments are left out (two thirds of the bytes on Debian), except the one with the hash of our files.
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
  started= # without systemd: the init scripts that load modules and set keys
  if [ ! -d /run/systemd/system ]; then
    set -- "$@" /etc/inittab
    for place in /etc/rcS.d/S*kmod /etc/rcS.d/S*procps /etc/runlevels/*/* /sbin/sysctl /usr/sbin/sysctl /sbin/modprobe
    do
      [ ! -e "$place" ] || started="$started$place
"
    done
  fi
  set -f
  # shellcheck disable=SC2086 # one path a line
  run ls -ldn "$@" $started 2>/dev/null
  files= # a FIFO or a device would keep grep for ever
  for each; do
    case $each in *"
"*) continue ;; esac
    [ ! -f "$each" ] || files="$files$each
"
  done
  # shellcheck disable=SC2086 # one path a line
  run grep -asHn -e '^[[:space:]]*[^#;[:space:]]' -e '^# sha256 of the lines below: ' /dev/null $files $looked
}

# scan: reply to the whole probe; main.sh ends it. Program output needs no section headers, each of which would cost a
# packet: ls lines never start with a slash, and both greps prefix the file name.
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

# found: print the reply of the builtins so far, in one write.
found() {
  printf %s "$mark begin
$reply$mark found
"
}
