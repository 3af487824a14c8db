# shellcheck shell=sh
# shellcheck disable=SC2034,SC2086,SC2154 # mark and text come from main.sh, which runs last; it splits words
# Change the node. Each command has its own status; its output goes into the reply as a line of kind e. The probe that
# follows shows what has changed.

# try VERB NAME COMMAND...: run a command away from our stdin; report it if it failed or printed anything.
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

# within SECONDS: limit each command, if the node has a timeout with these arguments (busybox before 1.30 wants -t; a
# program of its own is not busybox). After the first timeout no other command is started: the admin's side is about to
# give up.
within() {
  limit=$1 IFS=:
  for each in $PATH; do [ ! -x "$each/timeout" ] || break; done # $(command -v ...) would start a process
  IFS='
'
  [ -x "$each/timeout" ] && [ ! -L "$each/timeout" ] || timeout 9 true 2>/dev/null || limit=
}

# limited COMMAND...: replace the shell that calls it.
limited() {
  in_time || exit 1
  if [ "$limit" ]; then exec timeout "$limit" "$@"; else exec "$@"; fi
}

in_time() { [ ! "$late" ] || { echo "not tried: the time is over" >&2 && return 1; }; }

# loads NAMES: one modprobe for all, which reads its lists once. If it fails or prints anything, each module is loaded
# alone for a message of its own; so a module that hangs does so twice.
loads() {
  IFS=' '
  set -- $1
  IFS='
'
  secure || return
  limit=${limit:+$(((limit + 1) / 2))}
  said=$(limited modprobe -a "$@" 2>&1 >/dev/null </dev/null) && [ ! "$said" ] && together=1
}

# refuse VERB NAME WHY: skip the rest of this request.
refuse() {
  say "e$1 $2 1 $3"
  refused=1
}

# beside PATH: set $temporary, the name of the new text of that file, which must lie in a trusted folder. Leftovers of
# killed sessions are removed: the lock is ours, so nobody else writes there.
beside() {
  trusted "${1%/*}" || return
  temporary=${1%.conf}.$mark
  sweep "$1"
  if [ -e "$temporary" ] || [ -L "$temporary" ]; then
    echo "something is in the way beside $1" >&2
    return 1
  fi
}

# trusted FOLDER...: succeed if only root can change what these paths lead to: each folder on the way is root's (or ours),
# and nobody else may write to it. A sticky folder will do, except for the last: nobody can replace in it what is root's.
sound='
'
trusted() {
  ways='' ends='
'
  for folder; do
    case $sound in *"
$folder
"*) continue ;; esac
    case $folder in *[!A-Za-z0-9_./@:+-]*) echo "$folder is a name of unusual characters" >&2 && return 1 ;; esac
    ends="$ends$folder
" way=$folder
    while [ "$way" ]; do
      if [ -L "$way" ]; then
        (trusted "${way%/*}/." "$(readlink -f "$folder")") || return
        ends=${ends%"$folder
"} sound="$sound$folder
" && break
      fi
      ways="$ways$way
" way=${way%/*}
    done
  done
  [ "$ends" != '
' ] || return 0
  for entry in $(exec ls -ldn / $ways 2>&1); do
    untrusted "$entry" || continue
    echo "$why" >&2
    return 1
  done
  sound="$sound${ends#?}"
}

# untrusted ENTRY: succeed for a line of ls -ldn of a folder that others can change, with $why.
untrusted() {
  IFS=' '
  set -- $1
  IFS='
'
  why="$* is not a folder"
  case $1 in d*) ;; *) return 0 ;; esac
  why="$9 belongs to user $3, not to root"
  [ "$3" = 0 ] || [ -O "$9" ] || return 0
  why="others than root may write to $9"
  case $1 in ?????w* | ????????w*) ;; *) return 1 ;; esac
  case $1 in ?????????[tT]*) ;; *) return 0 ;; esac
  case $ends in *"
$9
"*) ;; *) return 1 ;; esac
}

sweep() {
  set +f
  for each in "${1%.conf}".*; do
    case ${each##*.} in *[!0-9a-f]*) ;; ????????????????????????????????) rm -f "$each" ;; esac # 32 digits, as a mark
  done
  set -f
}

# place TEMPORARY PATH: move the one to the other, complete or not at all; it survives a power cut.
place() {
  if flush "$1" && (move "$1" "$2"); then
    flush "${2%/*}"
  else
    rm -f "$1"
    return 1
  fi
}

# move TEMPORARY PATH: replace the shell that calls it.
move() {
  command -v restorecon >/dev/null || exec mv -f "$1" "$2"
  mv -f "$1" "$2" && exec restorecon -F "$2"
}

# no_folder PATH: fail for a folder, since mv would put the file into it.
no_folder() { ! [ -d "$1" ] || { echo "$1 is a folder" >&2 && return 1; }; }

# only_file PATH: fail for a FIFO, which would keep us for ever.
only_file() { [ -f "$1" ] || { echo "$1 is not a file" >&2 && return 1; }; }

folder_of() { [ -d "${1%/*}" ] || mkdir -p "${1%/*}"; }

# unflushed: what must be on the disk before anything is changed, the snapshot and files that wait for their move. later:
# what must be there at the end, the folders of moved files; flushed together with the former if there are any.
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

# stage PATH: write $text beside the path; placed moves it there together with others. If that fails, the file is written
# alone for a message of its own.
meant=''
stage() {
  umask 022
  if [ -d "${1%/*}" ] && [ ! -d "$1" ] && beside "$1" 2>/dev/null && write_new "$text" "$temporary"; then
    unflushed="$unflushed$temporary
" meant="$meant$1
"
  else
    { try keep "$1" keep "$1" && before=changed; } || quiet=no
  fi
}

# placed: move the staged files to their places, each complete or not at all.
placed() {
  for path in $meant; do
    temporary=${path%.conf}.$mark
    { try keep "$path" move "$temporary" "$path" && before=changed; } || { quiet=no; rm -f "$temporary"; }
    later="$later${path%/*}
"
  done
  meant=
}

# keep PATH: write $text to the file.
keep() {
  no_folder "$1" || return 1
  umask 022
  folder_of "$1" && beside "$1" && { put "$text" "$temporary" || { rm -f "$temporary" && return 1; }; } &&
    place "$temporary" "$1"
}

# disable PATH NUMBER TEXT: comment out a line of another owner's file, if it still reads so. The mark in front of it names
# us, and removing it restores the line.
taken_over='# taken over by nodeprep: '
disable() {
  file=$(readlink -f "$1") && only_file "$file" || return 1
  [ "$(sed -n "$2p" "$file")" = "$3" ] || { echo "line $2 has changed meanwhile" >&2; return 1; }
  edit "$file" "$2s/^/$taken_over/"
}

# edit PATH COMMAND: change a file with sed; owner and mode stay.
edit() {
  umask 077
  beside "$1" && write_new '' "$temporary" && cp -p "$1" "$temporary" && { sed "$2" "$1" >"$temporary" || { rm -f "$temporary" && return 1; }; } && place "$temporary" "$1"
}

# put TEXT FILE: on failure cat gives the message: dash's printf says "I/O error", busybox's nothing at all.
put() { write_new "$1" "$2" || { rm -f "$2" && printf %s "$1" | new "$2"; }; }

# write_new TEXT FILE: noclobber opens the file with O_EXCL, which follows no link.
write_new() {
  set -C
  printf %s "$1" 2>/dev/null >"$2" && set +C && return
  set +C
  return 1
}

# new FILE: write stdin to a file that does not exist yet.
new() (set -C && cat >"$1")

# sync of coreutils before 8.24 and of busybox takes no file: then everything is flushed.
flush() { sync "$@" 2>/dev/null || sync; }

# set_key PATH VALUE: write to the kernel directly, for its own error about this one key. Through tee: dash's printf says
# no more than "I/O error" for a refused write.
set_key() { in_time && printf '%s\n' "$2" | limited tee "$1"; }
