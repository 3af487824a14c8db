# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # mark and text come from main.sh, which runs last
# Changing the node. Each command has its own status; what it said goes into the reply as a line of kind e. Whether
# anything changed is not said here: the probe that follows tells.

# try VERB NAME COMMAND...: runs the command away from our stdin; reports it if it failed or complained.
try() {
  verb=$1 name=$2
  shift 2
  said=$("$@" 2>&1 >/dev/null </dev/null) && status=0 || status=$?
  if [ "$status" != 0 ] || [ -n "$said" ]; then
    line=
    for part in $said; do line="$line${line:+; }$part"; done
    say "e$verb $name $status $line"
    return 1
  fi
}

# refuse VERB NAME WHY: nothing else of this request is done.
refuse() {
  say "e$1 $2 1 $3"
  refused=1
}

# sweep TARGET: what sessions that were killed have left beside it. Nobody else writes there: the lock is ours.
sweep() {
  set +f
  for each in "${1%.conf}".*; do
    case ${each##*.} in *[!0-9a-f]*) ;; ????????????????????????????????) rm -f "$each" ;; esac # 32, as a mark has
  done
  set -f
}

# keep PATH: $text becomes the file, complete or not at all, and survives a power cut.
keep() {
  ! [ -d "$1" ] || { echo "$1 is a folder" >&2; return 1; } # mv would put the file into it
  temporary=${1%.conf}.$mark
  sweep "$1"
  umask 022
  if mkdir -p "${1%/*}" && put "$text" "$temporary" && flush "$temporary" && mv -f "$temporary" "$1"; then
    flush "${1%/*}"
    ! command -v restorecon >/dev/null || restorecon -F "$1"
  else
    rm -f "$temporary"
    return 1
  fi
}

# disable PATH NUMBER TEXT: comments out a line of someone else's file, if it is still that line. The mark in front of it
# tells what happened, and is all that has to be removed to put it back.
disable() {
  file=$(readlink -f "$1") || return 1
  [ "$(sed -n "$2p" "$file")" = "$3" ] || { echo "line $2 has changed meanwhile" >&2; return 1; }
  temporary=${file%.conf}.$mark
  sweep "$file"
  if cp -p "$file" "$temporary" && sed "$2s/^/# taken over by nodeprep: /" "$file" >"$temporary" && flush "$temporary" &&
    mv -f "$temporary" "$file"; then
    flush "${file%/*}"
    ! command -v restorecon >/dev/null || restorecon -F "$file"
  else
    rm -f "$temporary"
    return 1
  fi
}

# put TEXT FILE: where that fails, cat is heard: dash's printf says "I/O error", and busybox's nothing at all.
put() { printf %s "$1" 2>/dev/null >"$2" || printf %s "$1" | cat >"$2"; }

# coreutils before 8.24 and busybox take no file: then everything is flushed.
flush() { sync "$@" 2>/dev/null || sync; }

# set_key PATH VALUE: asks the kernel directly, so that its own reason is heard for this one key. Through tee: dash's
# printf says no more than "I/O error" when a write is refused.
set_key() { printf '%s\n' "$2" | tee "$1"; }
