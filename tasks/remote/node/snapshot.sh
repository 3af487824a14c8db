# shellcheck shell=sh
# shellcheck disable=SC2013,SC2015,SC2034,SC2086,SC2154,SC2174 # IFS is a newline where words are split; the rest comes from the other parts
# What a change is going to touch, as it was, written down before the first write: a folder NUMBER.RUN with copies of
# our files and a text, `snapshot`, one thing a line. Of two lines about the same thing the first counts.
#     file PATH (its copy lies beside) · absent PATH · folder PATH (was not there) · line PATH NUMBER TEXT (taken over)
#     key PATH VALUE · nokey PATH (was not there) · module NAME (was not loaded) · unloads NAME
KEPT=10

[ "$noting" = "$2" ] || noting=$2 noted='
' news='' before='' copies='' taken='' watched='' asked='' unread='' modules_then=''

# note LINE: unless the snapshot has a line about that already.
note() {
  item=${1#* }
  case $1 in 'line '*) item=$1 ;; *) item="${1%% *} ${item%% *}" ;; esac
  case $noted in *"
$item
"* | *"
$item "*) return ;; esac
  noted="$noted$1
" news=1
}

# save PATH: a file that is about to be written or removed. One of a later pass is ours already.
save() {
  case $noted in *"
file $1
"* | *"
absent $1
"*) return ;; esac
  watched="$watched$1
"
  if [ -f "$1" ] || [ -L "$1" ]; then
    note "file $1"
    copies="$copies$1
"
  elif [ ! -e "$1" ]; then
    [ -d "${1%/*}" ] || note "folder ${1%/*}"
    note "absent $1"
  fi
}

# line PATH NUMBER TEXT: of someone else's file, about to be commented out.
line() {
  note "line $1"
  watched="$watched${1%% *}
"
}

# value PATTERN: keys that are about to be set, or are changed along with those.
value() {
  set +f
  for path in $1; do
    if [ -e "$path" ]; then
      asked="$asked$path
" unread="$unread$path
"
    else
      note "nokey $path"
    fi
  done
  set -f
}

# module NAME: about to be loaded, with what it needs.
module() {
  [ "$modules_then" ] || modules_then="
$(loaded)
"
  case $modules_then in *"
$1
"*) ;; *) note "module $1" ;; esac
}

# These three run in $(...) alone, which is a process already: exec saves the next one.
loaded() { exec cut -d' ' -f1 /proc/modules 2>/dev/null; }
values_of() { [ ! "$1" ] || exec grep -snH '' $1; }
files_of() { [ ! "$watched" ] || exec ls -ldinL $watched 2>/dev/null; }

# Keys asked for are read by one grep: not by the shell, see probe.sh. Modules came along with those we loaded.
look_over() {
  values=$(values_of "$unread")
  unread=
  for each in $values; do
    case $each in *:1:*) note "key ${each%%:1:*} ${each#*:1:}" ;; esac
  done
  [ "$1" ] && [ "$modules_then" ] || return 0
  for each in $(loaded); do module "$each"; done
}

# snapshot STORE RUN: writes what was noted, complete or not at all.
snapshot() {
  look_over "$taken"
  [ "$news" ] || return 0
  if [ ! "$taken" ]; then
    note "as ${SUDO_USER:-root}"
    before=$(files_of)$values$modules_then # all that the session touches: has anything changed at its end?
    number "$1"
    taken=$1/$number.$2
    try snapshot "$1" create "$1" "$taken" || { taken='' refused=1; return; }
  else
    before=changed
    try extend "$1" extend "$taken" || refused=1
  fi
  news='' copies=''
}

# number STORE: one above the last.
number() {
  number=1000000
  set +f
  for each in "$1"/[0-9]*.*; do
    [ ! -d "$each" ] || { number=${each##*/} && number=1${number%%.*}; }
  done
  set -f
  number=$((number + 1)) number=${number#1}
}

create() {
  fresh=$1/new.$mark
  set +f
  for each in "$1"/new.*; do [ ! -d "$each" ] || rm -rf "$each"; done # of a session that was killed
  umask 022 # for /var/lib, should it not be there
  mkdir -p -m 700 "$1" "$fresh" && umask 077 && written "$fresh" "$fresh/snapshot" && mv "$fresh" "$2" && flush "$1" ||
    { rm -rf "$fresh" && false; }
}

extend() {
  umask 077
  written "$1" "$1/snapshot.new" && mv -f "$1/snapshot.new" "$1/snapshot" && flush "$1"
}

# written FOLDER TEXT: the copies and the text, on the disk.
written() {
  [ ! "$copies" ] || cp -pP $copies "$1/" || return
  put "${noted#?}" "$2" || return
  set +f
  flush "$1"/*
}

# The end of a session, however it ends: what changed nothing leaves no snapshot, and the lock is given back. Where a file
# was written nothing has to be compared.
finish() {
  if [ "$taken" ]; then
    if [ "$before" != changed ] && [ "$before" = "$(files_of)$(values_of "$asked")${modules_then:+
$(loaded)
}" ]; then
      forget "$taken"
    else
      prune "${taken%/*}"
    fi
    taken=
  fi
  release
}

# prune STORE: the oldest learns what only the next one knows, and so tells for good how the node was before we came.
# Cut short at any point it has told nothing wrong: the next one is still there, and says the same once more.
prune() {
  set +f
  set -- "$1"/[0-9]*.*
  while [ $# -gt $KEPT ]; do
    oldest=$1
    (merge "$1" "$2") 2>/dev/null || break
    shift 2
    set -- "$oldest" "$@"
  done
  set -f
}

merge() {
  umask 077
  noted="
$(cat "$1/snapshot")
"
  for each in $(cat "$2/snapshot"); do
    case ${each%% *} in file | absent | folder | line | key | nokey | module | unloads) note "$each" ;; esac
  done
  for each in "$2"/*; do
    [ -e "$1/${each##*/}" ] || [ -L "$1/${each##*/}" ] || cp -pP "$each" "$1/" || return
  done
  copies=
  extend "$1" && forget "$2"
}
