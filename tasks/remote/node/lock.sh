# shellcheck shell=sh
# shellcheck disable=SC2086,SC2154 # IFS is a newline where words are split; the rest comes from the other parts
# One change at a time on a node: a request takes the lock and gives it back at its end. The lock is a link that leads nowhere: it is made at once with all that it says,
#     /run/nodeprep.lock -> PID START BOOT MARK verb user@laptop run
# so there is no moment in which its owner is not known. A lock whose process is gone blocks nobody: whoever finds it
# goes on to LOCK.MARK, the place of its successor. Marks are never used twice, so of two that find the same dead owner
# one makes that link, and the other finds it made.

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

# alive PID START BOOT: whether that process still is.
alive() { [ "$3" = "$booted" ] && kill -0 "$1" 2>/dev/null && born "$1" && [ "${birth:-$2}" = "$2" ]; }

# lock PATH TEXT: takes the lock, or says who has it, and then nothing else of this request is done.
lock() {
  ! [ -d "$1" ] || { refuse lock "$1" "$1 is a folder"; return; } # ln would put its link into it
  booted=
  [ ! -r /proc/sys/kernel/random/boot_id ] || IFS= read -r booted </proc/sys/kernel/random/boot_id
  born $$
  mine="$$ ${birth:-0} ${booted:=none} $mark $2"
  at=$1 chain=$1 first='' tries=0
  until said=$(ln -s "$mine" "$at" 2>&1) && succeeded "$1"; do
    owner=$(readlink "$at") || owner=
    IFS=' ' read -r pid start their_boot theirs who <<EOT
$owner
EOT
    [ "$theirs" != "$mark" ] || return 0
    if [ "$owner" ] && alive "$pid" "$start" "$their_boot"; then refuse lock "$1" "$who" && return; fi
    [ $((tries += 1)) -lt 50 ] || { refuse lock "$1" "$said"; return; }
    if [ "$owner" ]; then
      at=$1.$theirs chain="$chain
$at"
      : "${first:=$owner}"
    else # given back meanwhile: once more from the start
      at=$1 chain=$1 first=
    fi
  done
  held=$chain
  trap finish EXIT
  resume
}

# Whether the link just made counts: not when the lock was given back while we followed the dead to its end.
succeeded() { [ ! "$first" ] || [ "$(readlink "$1")" = "$first" ] || { rm -f "$at" && return 1; }; }

# unlock PATH: takes it from whoever has it.
unlock() {
  set +f
  rm -f "$1" "$1".*
  set -f
}

# Gives our lock back, unless somebody took it from us.
release() {
  [ ! "$held" ] || [ "$(readlink "${held##*
}")" != "$mine" ] || rm -f $held
  held=
}
