# shellcheck shell=sh
# shellcheck disable=SC2034,SC2086,SC2154 # mark and text come from main.sh, which runs last; it splits words
# Changing the node. Each command has its own status; what it said goes into the reply as a line of kind e. Whether
# anything changed is not said here: the probe that follows tells.

# try VERB NAME COMMAND...: runs the command away from our stdin; reports it if it failed or complained.
try() {
  verb=$1 name=$2
  shift 2
  case $verb in snapshot | extend) ;; *) secure || return ;; esac
  said=$("$@" 2>&1 >/dev/null </dev/null) && status=0 || status=$?
  case $limit:$status in
    ?*:124 | ?*:137 | ?*:143) said="no end within $limit s" late=1 ;;
  esac
  if [ "$status" != 0 ] || [ -n "$said" ]; then
    line=
    for part in $said; do line="$line${line:+; }$part"; done
    say "e$verb $name $status $line"
    return 1
  fi
}

# within SECONDS: how long a command may take, where the node has a timeout that takes it so (busybox before 1.30 wants
# -t; a program of its own is not busybox). After the first that took too long no further one is begun: whoever asked for
# it is about to give up.
within() {
  limit=$1 IFS=:
  for each in $PATH; do [ ! -x "$each/timeout" ] || break; done # no process, as $(command -v ...) is one
  IFS='
'
  [ -x "$each/timeout" ] && [ ! -L "$each/timeout" ] || timeout 9 true 2>/dev/null || limit=
}

# limited COMMAND...: in the place of the shell that it is called in.
limited() {
  in_time || exit 1
  if [ "$limit" ]; then exec timeout "$limit" "$@"; else exec "$@"; fi
}

in_time() { [ ! "$late" ] || { echo "not tried: the time is over" >&2 && return 1; }; }

# loads NAMES: one modprobe for all, which reads its lists once. Where it fails or says anything each is loaded alone, to
# be heard for itself; so what hangs does it twice.
loads() {
  IFS=' '
  set -- $1
  IFS='
'
  secure || return
  limit=${limit:+$(((limit + 1) / 2))}
  said=$(limited modprobe -a "$@" 2>&1 >/dev/null </dev/null) && [ ! "$said" ] && together=1
}

# refuse VERB NAME WHY: nothing else of this request is done.
refuse() {
  say "e$1 $2 1 $3"
  refused=1
}

# beside PATH: $temporary, for what will become that file. What sessions that were killed have left there is swept away:
# nobody else writes there, the lock is ours.
beside() {
  temporary=${1%.conf}.$mark
  sweep "$1"
}

sweep() {
  set +f
  for each in "${1%.conf}".*; do
    case ${each##*.} in *[!0-9a-f]*) ;; ????????????????????????????????) rm -f "$each" ;; esac # 32, as a mark has
  done
  set -f
}

# place TEMPORARY PATH: the one becomes the other, complete or not at all, and survives a power cut.
place() {
  if flush "$1" && (move "$1" "$2"); then
    flush "${2%/*}"
  else
    rm -f "$1"
    return 1
  fi
}

# move TEMPORARY PATH: in the place of the shell that it is called in.
move() {
  command -v restorecon >/dev/null || exec mv -f "$1" "$2"
  mv -f "$1" "$2" && exec restorecon -F "$2"
}

# no_folder PATH: mv would put the file into it.
no_folder() { ! [ -d "$1" ] || { echo "$1 is a folder" >&2 && return 1; }; }

folder_of() { [ -d "${1%/*}" ] || mkdir -p "${1%/*}"; }

# What has to be on the disk before anything is changed: the snapshot, and files that will be moved into their places. And
# what has to be there in the end: the folders that they were moved into, flushed with the next of the former if there is one.
unflushed='' later=''
secure() {
  [ "$unflushed" ] || return 0
  [ ! "$refused" ] || return 1
  flush $unflushed $later && unflushed='' later='' && return
  if [ "$before" = changed ]; then
    refuse extend "${taken%/*}" "sync has failed"
  else
    refuse snapshot "${taken%/*}" "sync has failed"
    rm -rf "$taken"
    taken=''
  fi
  return 1
}

# stage PATH: $text lies beside the path, to become that file together with others; see placed. What does not go so is
# done alone, to be heard for itself.
meant=''
stage() {
  beside "$1"
  umask 022
  if [ -d "${1%/*}" ] && [ ! -d "$1" ] && printf %s "$text" 2>/dev/null >"$temporary"; then
    unflushed="$unflushed$temporary
" meant="$meant$1
"
  else
    { try keep "$1" keep "$1" && before=changed; } || quiet=no
  fi
}

# placed: what was staged becomes the files, each complete or not at all.
placed() {
  for path in $meant; do
    temporary=${path%.conf}.$mark
    { try keep "$path" move "$temporary" "$path" && before=changed; } || { quiet=no; rm -f "$temporary"; }
    later="$later${path%/*}
"
  done
  meant=
}

# keep PATH: $text becomes the file.
keep() {
  no_folder "$1" || return 1
  beside "$1"
  umask 022
  folder_of "$1" && { put "$text" "$temporary" || { rm -f "$temporary" && return 1; }; } && place "$temporary" "$1"
}

# disable PATH NUMBER TEXT: comments out a line of someone else's file, if it is still that line. The mark in front of it
# tells what happened, and is all that has to be removed to put it back.
taken_over='# taken over by nodeprep: '
disable() {
  file=$(readlink -f "$1") || return 1
  [ "$(sed -n "$2p" "$file")" = "$3" ] || { echo "line $2 has changed meanwhile" >&2; return 1; }
  edit "$file" "$2s/^/$taken_over/"
}

# edit PATH COMMAND: what sed makes of it; owner and mode stay.
edit() {
  beside "$1"
  cp -p "$1" "$temporary" && { sed "$2" "$1" >"$temporary" || { rm -f "$temporary" && return 1; }; } && place "$temporary" "$1"
}

# put TEXT FILE: where that fails, cat is heard: dash's printf says "I/O error", and busybox's nothing at all.
put() { printf %s "$1" 2>/dev/null >"$2" || printf %s "$1" | cat >"$2"; }

# coreutils before 8.24 and busybox take no file: then everything is flushed.
flush() { sync "$@" 2>/dev/null || sync; }

# set_key PATH VALUE: asks the kernel directly, so that its own reason is heard for this one key. Through tee: dash's
# printf says no more than "I/O error" when a write is refused.
set_key() { in_time && printf '%s\n' "$2" | limited tee "$1"; }
