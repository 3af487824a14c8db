# shellcheck shell=sh
# shellcheck disable=SC2034,SC2086,SC2154 # IFS is a newline where words are split; the rest comes from the other parts
# One change at a time on a node: a request takes the lock and gives it back at its end. It is a file that only one can
# make, with one line:
#     PID START BOOT MARK verb user@laptop run
# A lock whose process is gone blocks nobody: whoever finds it goes on to LOCK.MARK, the place of its successor. Marks are
# never used twice, so of two that find the same dead owner one makes that file, and the other finds it made. One that
# does not say for seconds who made it is nobody's: its successor is LOCK.0, and whoever made it after all looks there.

# The requests of a session share these ($2 is its mark); what the environment has under these names does not count.
[ "$session" = "$2" ] || session=$2 held='' mine=''

# born PID: $birth is when it started, in ticks since the boot, empty where /proc does not say; fails for a zombie.
born() {
  birth=
  [ -r "/proc/$1/stat" ] && IFS= read -r birth 2>/dev/null <"/proc/$1/stat" || return 0
  birth=${birth##*') '} # after its name, which may hold blanks: fields 3, the state, to 52; 22 is the time
  case $birth in [ZX]*) return 1 ;; esac
  field=3
  while [ $field -lt 22 ]; do birth=${birth#* } field=$((field + 1)); done
  birth=${birth%% *}
}

# alive: whether the process that its_words tell of still is.
alive() { [ "$their_boot" = "$booted" ] && kill -0 "$pid" 2>/dev/null && born "$pid" && [ "${birth:-$start}" = "$start" ]; }

# lock PATH TEXT: takes the lock, or says who has it, and then nothing else of this request is done.
lock() {
  if [ -d "$1" ]; then refuse lock "$1" "$1 is a folder" && return; fi
  if [ -L "$1" ]; then refuse lock "$1" "$1 is a link, and no lock of ours: remove it" && return; fi
  booted=
  [ ! -r /proc/sys/kernel/random/boot_id ] || IFS= read -r booted </proc/sys/kernel/random/boot_id
  born $$
  mine="$$ ${birth:-0} ${booted:=none} $mark $2"
  at=$1 chain=$1 first='' tries=0 waits=0
  until made "$at" && succeeded "$1"; do
    holder_of "$at"
    its_words
    [ "$theirs" != "$mark" ] || break
    if [ "$owner" ] && alive; then refuse lock "$1" "$who" && return; fi
    if [ $((tries += 1)) -ge 50 ]; then
      said=$(make "$at" 2>&1) && rm -f "$at"
      refuse lock "$1" "${said:-taken and given back too often}"
      return
    fi
    if [ "$owner" = "$NOBODY" ] && [ $((waits += 1)) -le 3 ]; then
      sleep 1
    elif [ "$owner" ]; then
      at=$1.$theirs chain="$chain
$at"
      : "${first:=$owner}"
    else # given back meanwhile: once more from the start
      at=$1 chain=$1 first=
    fi
  done
  if [ "$at" = "$1" ] && [ -e "$1.0" ]; then # we took so long to say who we are that somebody has gone past us
    holder_of "$1.0"
    its_words
    if [ "$owner" = "$NOBODY" ] || alive; then refuse lock "$1" "${who:-being taken}" && return; fi
  fi
  held=$chain
  trap finish EXIT
  resume
}

# made FILE: whether we have made it, and it says who we are; what it does not say for want of room does not stay.
made() {
  full=
  make "$1" 2>/dev/null || return
  [ ! "$full" ] || { rm -f "$1" && return 1; }
}

# make FILE: only where there is none; noclobber opens it with O_EXCL. No process is started for it.
make() {
  umask 022
  set -C
  { printf '%s\n' "$mine" || full=1; } >"$1" && set +C && return
  set +C
  return 1
}

# holder_of FILE: $owner is its line; empty where it is gone, NOBODY where its maker was killed before it wrote it, or is
# about to write it.
NOBODY='0 0 nowhere 0'
holder_of() {
  owner=
  [ ! -e "$1" ] || IFS= read -r owner 2>/dev/null <"$1" || owner=$NOBODY
}

its_words() {
  IFS=' ' read -r pid start their_boot theirs who <<EOT
$owner
EOT
}

# Whether the file just made counts: not when the lock was given back while we followed the dead to its end.
succeeded() {
  [ "$first" ] || return 0
  holder_of "$1"
  [ "$owner" = "$first" ] || { rm -f "$at" && return 1; }
}

# unlock PATH: takes it from whoever has it.
unlock() {
  set +f
  rm -f "$1" "$1".*
  set -f
}
