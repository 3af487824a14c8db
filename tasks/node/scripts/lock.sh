# shellcheck shell=sh
# shellcheck disable=SC2034,SC2086,SC2154 # IFS is a newline where words are split; the rest comes from the other parts
# One change at a time on a node: a request takes the lock and gives it back at its end. The lock is a file that only one
# process can create, with one line:
#     PID START BOOT MARK verb user@laptop run
# A lock whose process is gone blocks nobody: a session that finds it goes on to LOCK.MARK, the place of its successor.
# Marks are never used twice, so of two sessions that find the same dead owner one creates that file, and the other finds
# it. A lock that stays empty for seconds has no owner: its successor is LOCK.0, and a slow owner checks that file.

# The requests of a session share these ($2 is its mark); variables of the environment with these names do not count.
[ "$session" = "$2" ] || session=$2 held='' mine=''

# born PID: set $birth to its start in ticks since the boot, empty if /proc does not show it; fail for a zombie.
born() {
  birth=
  [ -r "/proc/$1/stat" ] || return 0
  while IFS= read -r each; do birth=$birth$each; done 2>/dev/null <"/proc/$1/stat" # its name may hold newlines
  [ "$birth" ] || return 0
  birth=${birth##*') '} # after its name, which may hold blanks, too: fields 3, the state, to 52; 22 is the start
  case $birth in [ZX]*) return 1 ;; esac
  field=3
  while [ $field -lt 22 ]; do birth=${birth#* } field=$((field + 1)); done
  birth=${birth%% *}
}

# alive: succeed if the process of its_words still runs.
alive() { [ "$their_boot" = "$booted" ] && kill -0 "$pid" 2>/dev/null && born "$pid" && [ "${birth:-$start}" = "$start" ]; }

# lock PATH TEXT: take the lock, or report its holder and skip the rest of this request.
lock() {
  if [ -d "$1" ]; then refuse lock "$1" "$1 is a folder" && return; fi
  if [ -e "$1" ] && [ ! -f "$1" ]; then refuse lock "$1" "$1 is not a file, and no lock of ours: remove it" && return; fi
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
    else # given back meanwhile: start again
      at=$1 chain=$1 first=
    fi
  done
  if [ "$at" = "$1" ] && [ -e "$1.0" ]; then # we were so slow to write our line that another session has passed us
    holder_of "$1.0"
    its_words
    if [ "$owner" = "$NOBODY" ] || alive; then refuse lock "$1" "${who:-being taken}" && return; fi
  fi
  held=$chain
  trap finish EXIT
  resume
}

# made FILE: create it with our line; a file without room for the line is removed.
made() {
  full=
  make "$1" 2>/dev/null || return
  [ ! "$full" ] || { rm -f "$1" && return 1; }
}

# make FILE: create it only if there is none; noclobber opens it with O_EXCL. No process is started.
make() {
  umask 022
  set -C
  { printf '%s\n' "$mine" || full=1; } >"$1" && set +C && return
  set +C
  return 1
}

# holder_of FILE: set $owner to its line; empty if the file is gone, NOBODY if its creator was killed before it wrote the
# line, or is about to write it.
NOBODY='0 0 nowhere 0'
holder_of() {
  owner=
  [ ! -e "$1" ] || IFS= read -r owner 2>/dev/null <"$1" || owner=$NOBODY
}

# its_words: split $owner. Not by a here-document: bash before 5.1 needs room in /tmp for one, and without it a living
# owner would look like none.
its_words() {
  IFS=' '
  set -- $owner
  pid=$1 start=$2 their_boot=$3 theirs=$4 who=
  [ $# -lt 4 ] || { shift 4 && who=$*; }
  IFS='
'
}

# succeeded PATH: check that the file just created counts: not if the lock was given back while we followed dead owners.
succeeded() {
  [ "$first" ] || return 0
  holder_of "$1"
  [ "$owner" = "$first" ] || { rm -f "$at" && return 1; }
}

# unlock PATH: take the lock away from its holder.
unlock() {
  set +f
  rm -f "$1" "$1".*
  set -f
}
